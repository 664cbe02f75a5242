/** A variable of the environment, or undefined where there is none or it may not be read. */
export function environmentVariable(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  try {
    return process?.env?.[name] || undefined;
  } catch {
    // Deno refuses the read without --allow-env; the caller's own options then decide alone.
    return undefined;
  }
}
