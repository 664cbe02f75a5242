import * as z from "zod";
import { CommandId, ContainerName } from "#api/scalars.ts";

/**
 * What the agent writes down about commands, one JSON line each, so that after a restart it
 * knows every id, every result it has told, and what it cannot know.
 */
const LogRecord = z.discriminatedUnion("kind", [
  /** Before the process is started: an id is never used twice, whatever happens next. */
  z.object({ kind: z.literal("start"), id: CommandId, container: ContainerName, digest: z.string() }),
  /** Before anybody is told of the result. */
  z.object({
    kind: z.literal("exit"),
    id: CommandId,
    exitCode: z.int(),
    signal: z.int().nullable(),
    endedBy: z.enum(["timeout", "kill"]).nullable(),
  }),
  /** Before anybody is told that a stream is complete. */
  z.object({ kind: z.literal("complete"), id: CommandId, streamIndex: z.literal([0, 1]), end: z.int().min(0) }),
  /** The command never started, or is forgotten. */
  z.object({ kind: z.literal("gone"), id: CommandId }),
]);
export type LogRecord = z.infer<typeof LogRecord>;

/** A command as the log tells it. */
export interface LoggedCommand {
  readonly id: string;
  readonly container: string;
  readonly digest: string;
  exit: Extract<LogRecord, { kind: "exit" }> | undefined;
  /** Total length of each stream that was complete. */
  readonly completeAt: [number | undefined, number | undefined];
}

export function formatRecord(record: LogRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/** Commands in the order of their start. Lines that do not parse are left out: the last one may have been cut by a kill. */
export function replayLog(text: string): Map<string, LoggedCommand> {
  const commands = new Map<string, LoggedCommand>();
  for (const line of text.split("\n")) {
    const record = parseRecord(line);
    if (record === undefined) continue;
    const command = commands.get(record.id);
    if (record.kind === "start") {
      const { id, container, digest } = record;
      commands.set(id, { id, container, digest, exit: undefined, completeAt: [undefined, undefined] });
    } else if (record.kind === "gone") commands.delete(record.id);
    else if (record.kind === "exit" && command) command.exit = record;
    else if (record.kind === "complete" && command) command.completeAt[record.streamIndex] = record.end;
  }
  return commands;
}

/** The shortest log that tells the same. */
export function compactLog(commands: Iterable<LoggedCommand>): string {
  let text = "";
  for (const { id, container, digest, exit, completeAt } of commands) {
    text += formatRecord({ kind: "start", id, container, digest });
    if (exit !== undefined) text += formatRecord(exit);
    for (const streamIndex of [0, 1] as const) {
      const end = completeAt[streamIndex];
      if (end !== undefined) text += formatRecord({ kind: "complete", id, streamIndex, end });
    }
  }
  return text;
}

function parseRecord(line: string): LogRecord | undefined {
  try {
    return LogRecord.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
