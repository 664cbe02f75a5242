import type { AgentCommand } from "#api/agent.ts";
import { FIRST_GRANT_BYTES, type KeptStream } from "./journal.ts";
import type { LoggedCommand, LogRecord } from "./command-log.ts";

/** One output of a command: its accounts, and who waits for it to grow. */
export interface SessionStream extends KeptStream {
  readonly wakers: Set<() => void>;
}

/** A command from its start until it is forgotten. */
export interface ExecSession {
  readonly id: string;
  readonly container: string;
  readonly digest: string;
  state: AgentCommand["state"];
  exitCode: number | null;
  signal: number | null;
  /** The first reason for which the agent ended it. */
  endedBy: AgentCommand["endedBy"];
  endedOrder: number | undefined;
  readonly streams: readonly [SessionStream, SessionStream];
  readonly wakers: Set<() => void>;
}

function createStream(fields: {
  first: number;
  end: number;
  limit: number;
  complete: boolean;
  lost: boolean;
}): SessionStream {
  return { ...fields, readers: new Set(), wakers: new Set() };
}

/** A command that is about to run. */
export function createSession(start: {
  readonly id: string;
  readonly container: string;
  readonly digest: string;
}): ExecSession {
  const stream = (): SessionStream => createStream({ first: 0, end: 0, limit: 0, complete: false, lost: false });
  return {
    ...start,
    state: "running",
    exitCode: null,
    signal: null,
    endedBy: null,
    endedOrder: undefined,
    streams: [stream(), stream()],
    wakers: new Set(),
  };
}

/** A command of an earlier agent: what was written down is known, the rest is lost. */
export function restoreSession(
  logged: LoggedCommand,
  extents: readonly [{ first: number; end: number } | undefined, { first: number; end: number } | undefined],
  endedOrder: number,
): ExecSession {
  const { id, container, digest, exit, completeAt } = logged;
  const stream = (index: 0 | 1): SessionStream => {
    const total = completeAt[index];
    const end = total ?? extents[index]?.end ?? 0;
    const first = Math.min(extents[index]?.first ?? end, end);
    return createStream({ first, end, limit: end, complete: total !== undefined, lost: total === undefined });
  };
  return {
    id,
    container,
    digest,
    state: exit === undefined ? "unknown" : "exited",
    exitCode: exit?.exitCode ?? null,
    signal: exit?.signal ?? null,
    endedBy: exit?.endedBy ?? null,
    endedOrder,
    streams: [stream(0), stream(1)],
    wakers: new Set(),
  };
}

/** What a wait status says: the exit code, -1 for a death by signal and for a status nobody could get. */
export function readWaitStatus(waitStatus: number): { readonly exitCode: number; readonly signal: number | null } {
  if (waitStatus < 0) return { exitCode: -1, signal: null };
  const signal = waitStatus & 0x7f;
  return signal === 0 ? { exitCode: (waitStatus >> 8) & 0xff, signal: null } : { exitCode: -1, signal };
}

/** The process has ended. A kill that came too late did not end it. */
export function endSession(
  session: ExecSession,
  waitStatus: number,
  endedOrder: number,
): Extract<LogRecord, { kind: "exit" }> {
  const { exitCode, signal } = readWaitStatus(waitStatus);
  session.state = "exited";
  session.exitCode = exitCode;
  session.signal = signal;
  if (signal === null) session.endedBy = null;
  session.endedOrder = endedOrder;
  return { kind: "exit", id: session.id, exitCode, signal, endedBy: session.endedBy };
}

/** The command on the wire. */
export function toAgentCommand({
  id,
  container,
  state,
  exitCode,
  signal,
  endedBy,
  streams,
}: ExecSession): AgentCommand {
  const [stdout, stderr] = streams;
  const view = ({ first, end, complete }: SessionStream): AgentCommand["stdout"] => ({ first, end, complete });
  return { id, container, state, exitCode, signal, endedBy, stdout: view(stdout), stderr: view(stderr) };
}

/** The command as the log would tell it. */
export function toLogged({
  id,
  container,
  digest,
  state,
  exitCode,
  signal,
  endedBy,
  streams,
}: ExecSession): LoggedCommand {
  const completeAt = (stream: SessionStream): number | undefined => (stream.complete ? stream.end : undefined);
  return {
    id,
    container,
    digest,
    exit: state === "exited" ? { kind: "exit", id, exitCode: exitCode ?? -1, signal, endedBy } : undefined,
    completeAt: [completeAt(streams[0]), completeAt(streams[1])],
  };
}

/** Calls and forgets everybody who waits. */
export function wakeAll(wakers: Set<() => void>): void {
  const all = [...wakers];
  wakers.clear();
  for (const wake of all) wake();
}

/** Bytes that both streams of a new command may write at once. */
export const START_CHARGE_BYTES = 2 * FIRST_GRANT_BYTES;
