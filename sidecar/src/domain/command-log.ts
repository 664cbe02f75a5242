import { isCommandId, isContainerName } from "./names.ts";
import { isObject, isWhole } from "./json.ts";

/**
 * What the agent writes down about commands, one JSON line each, so that after a restart it
 * knows every id, every result it has told, and what it cannot know.
 */
export type LogRecord =
  /** Before the process is started: an id is never used twice, whatever happens next. */
  | { readonly kind: "start"; readonly id: string; readonly container: string; readonly digest: string }
  /** Before anybody is told of the result. */
  | {
      readonly kind: "exit";
      readonly id: string;
      readonly exitCode: number;
      readonly signal: number | null;
      readonly endedBy: "timeout" | "kill" | null;
    }
  /** Before anybody is told that a stream is complete. */
  | { readonly kind: "complete"; readonly id: string; readonly streamIndex: 0 | 1; readonly end: number }
  /** The command never started, or is forgotten. */
  | { readonly kind: "gone"; readonly id: string };

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

/** The record on a line; undefined when the line is anything else. */
export function parseRecord(line: string): LogRecord | undefined {
  try {
    const record: unknown = JSON.parse(line);
    return isObject(record) && isCommandId(record["id"]) ? readRecord(record, record["id"]) : undefined;
  } catch {
    return undefined;
  }
}

function readRecord(record: Readonly<Record<string, unknown>>, id: string): LogRecord | undefined {
  const { kind, container, digest, exitCode, signal, endedBy, streamIndex, end } = record;
  switch (kind) {
    case "start":
      return isContainerName(container) && typeof digest === "string" ? { kind, id, container, digest } : undefined;
    case "exit":
      return isCode(exitCode) && (signal === null || isCode(signal)) && isReason(endedBy)
        ? { kind, id, exitCode, signal, endedBy }
        : undefined;
    case "complete":
      return (streamIndex === 0 || streamIndex === 1) && isWhole(end, 0) ? { kind, id, streamIndex, end } : undefined;
    case "gone":
      return { kind, id };
    default:
      return undefined;
  }
}

function isCode(value: unknown): value is number {
  return isWhole(value, Number.MIN_SAFE_INTEGER);
}

function isReason(value: unknown): value is "timeout" | "kill" | null {
  return value === null || value === "timeout" || value === "kill";
}
