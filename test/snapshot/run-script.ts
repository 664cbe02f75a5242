import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Sandbox } from "#sdk";

const FOLDER = join(import.meta.dirname, "../local/snapshot");

/** The text of a Python script that runs in sandboxes. */
export function scriptText(name: string): string {
  return readFileSync(join(FOLDER, `${name}.py`), "utf8");
}

/** What a script prints in a sandbox; it has to succeed. The container is the only one unless it is named. */
export async function runScript(
  sandbox: Sandbox,
  { name, words = [], container }: { name: string; words?: readonly string[]; container?: string },
): Promise<string> {
  const args = ["python3", "-c", scriptText(name), ...words];
  const { exitCode, stdout, stderr } = await sandbox.commands.run(args, { container });
  if (exitCode !== 0) throw new Error(`${name} ${words.join(" ")} ended with ${exitCode}: ${stderr.slice(-2000)}`);
  return stdout;
}
