import type { Sandbox } from "#sdk";

/** Runs the shortest of all commands. */
export async function runTrue(sandbox: Sandbox): Promise<void> {
  const { exitCode } = await sandbox.commands.run(["true"]);
  if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`);
}
