import { expect } from "vitest";
import type { Command, Sandbox } from "#sdk";
import { runScript, scriptText } from "./run-script.ts";

/** Begins to write in a sandbox, to files of all sorts and to a database, and goes on until it is killed. */
export async function startWriteLoad(sandbox: Sandbox): Promise<Command> {
  const writer = await sandbox.commands.spawn(["python3", "-c", scriptText("write-steadily")]);
  for await (const text of writer.stdout) if (text.includes("writing")) break;
  return writer;
}

/** Expects all that was written to be as of one moment: a database opens clean, a file is its old or its new self. */
export async function expectOneMoment(restored: Sandbox): Promise<void> {
  expect(JSON.parse(await runScript(restored, { name: "check-steadily" }))).toEqual([]);
}
