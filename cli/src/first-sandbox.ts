import type { Atoll } from "#sdk";

const GREETING =
  "import os, platform; u = os.uname(); " +
  "print(f'hello from {u.sysname} {u.release}, Python {platform.python_version()}, {os.cpu_count()} CPUs')";

/** Runs one program in a new sandbox through the API and removes the sandbox; answers what it printed. */
export async function runFirstSandbox(client: Atoll, signal: AbortSignal): Promise<string> {
  const sandbox = await client.sandboxes.create({ image: FIRST_IMAGE, timeoutSeconds: 300 }, { signal });
  try {
    const script = `echo hello; uname -sr; python3 -c "${GREETING}"`;
    const { exitCode, stdout, stderr } = await sandbox.commands.run(["sh", "-c", script], {
      signal,
      timeoutMs: 60_000,
    });
    if (exitCode !== 0)
      throw new Error(`The first sandbox's program ended with ${exitCode}: ${stderr.trim().slice(-300)}`);
    return stdout.trimEnd();
  } finally {
    await sandbox.delete();
  }
}

/** The image that set-up builds. */
export const FIRST_IMAGE = "atoll/debian";
