import type { AgentCommand, AgentCreateCommand } from "#api/agent.ts";
import type { Clock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";
import { ProblemError } from "#core/problem-error.ts";
import { compactLog, formatRecord, replayLog, type LoggedCommand, type LogRecord } from "../domain/command-log.ts";
import {
  createSession,
  endSession,
  restoreSession,
  START_CHARGE_BYTES,
  toAgentCommand,
  toLogged,
  wakeAll,
  type ExecSession,
} from "../domain/exec-session.ts";
import type { Commands, FollowOptions, OutputOptions, StreamName } from "../ports.ts";
import type { PreparedCommand } from "./command-start.ts";
import { killFamily } from "./family.ts";
import { JournalBudget } from "./journal-budget.ts";
import type { JournalStore } from "./journal-store.ts";
import { errorName, SLOTS, type Native, type PumpMessage } from "./native.ts";
import { openOutputStream } from "./output-stream.ts";
import { followRun } from "./run-stream.ts";
import { StandardInput } from "./standard-input.ts";

/** A full disk is tried again after this long. */
const JOURNAL_RETRY_MS = 1000;
const LONGEST_TIMER_MS = 1 << 30;

export interface CommandHostDeps {
  readonly native: Native;
  readonly prepare: (request: AgentCreateCommand, container: string | undefined) => PreparedCommand;
  readonly store: JournalStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly budgetBytes: number;
  readonly maxCommands: number;
}

/** A command whose process or pipes are still there. */
interface Running {
  readonly session: ExecSession;
  readonly slot: number;
  readonly pid: number;
  readonly input: StandardInput;
  readonly over: AbortController;
  /** Reports to come before the slot is free: the exit and two closed pipes. */
  reportsLeft: number;
}

/** The commands of a sandbox: process side by the native part, results in the journal. */
export class CommandHost implements Commands {
  readonly #deps: CommandHostDeps;
  readonly #sessions = new Map<string, ExecSession>();
  readonly #running = new Map<string, Running>();
  readonly #slots: (Running | undefined)[] = Array.from({ length: SLOTS });
  readonly #budget: JournalBudget;
  #endedCount = 0;
  #logLines = 0;

  constructor(deps: CommandHostDeps) {
    this.#deps = deps;
    this.#budget = new JournalBudget({
      budgetBytes: deps.budgetBytes,
      store: deps.store,
      sessions: () => this.#sessions.values(),
      grant: (session, streamIndex) => this.#grant(session, streamIndex),
    });
    this.#restore();
  }

  start(
    request: AgentCreateCommand,
    { container, digest }: { readonly container: string | undefined; readonly digest: string },
  ): AgentCommand {
    const before = this.#sessions.get(request.id);
    if (before !== undefined) {
      if (before.digest === digest) return toAgentCommand(before);
      throw new ProblemError("idempotency-mismatch", "A command with this id was started by another request.");
    }
    const prepared = this.#deps.prepare(request, container);
    try {
      this.#makeRoom();
      const slot = this.#freeSlot();
      const session = createSession({ id: request.id, container: prepared.target.name, digest });
      this.#record([{ kind: "start", id: session.id, container: session.container, digest }]);
      const limitBytes = this.#budget.reserve(START_CHARGE_BYTES) ? START_CHARGE_BYTES / 2 : 0;
      for (const stream of session.streams) stream.limit = limitBytes;
      this.#run(
        session,
        slot,
        this.#spawn(session, () => prepared.spawn({ slot, limitBytes })),
        request.timeoutMs,
      );
      return toAgentCommand(session);
    } finally {
      prepared.close();
    }
  }

  get(id: string): AgentCommand {
    return toAgentCommand(this.#session(id));
  }

  async wait(id: string, waitMs: number, signal: AbortSignal): Promise<AgentCommand> {
    const session = this.#session(id);
    if (session.state !== "running") return toAgentCommand(session);
    const stop = new AbortController();
    const timer = this.#deps.clock.sleep(waitMs, AbortSignal.any([stop.signal, signal]));
    let wake = (): void => undefined;
    const ended = new Promise<void>((resolve) => session.wakers.add((wake = resolve)));
    try {
      await Promise.race([ended, timer]);
    } finally {
      session.wakers.delete(wake);
      stop.abort();
    }
    return toAgentCommand(session);
  }

  kill(id: string): void {
    this.#session(id);
    this.#end(id, "kill");
  }

  output(id: string, name: StreamName, options: OutputOptions): ReadableStream<Uint8Array<ArrayBuffer>> {
    const session = this.#session(id);
    const streamIndex = name === "stdout" ? 0 : 1;
    return openOutputStream(session.streams[streamIndex], options, {
      clock: this.#deps.clock,
      segments: this.#deps.store.openReader(id, streamIndex),
      onProgress: () => this.#budget.retry(),
    });
  }

  async follow(
    id: string,
    options: FollowOptions,
  ): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>> {
    return followRun(this.#session(id), options, {
      clock: this.#deps.clock,
      openReader: (streamIndex) => this.#deps.store.openReader(id, streamIndex),
      onProgress: () => this.#budget.retry(),
    });
  }

  async write(id: string, body: ReadableStream<Uint8Array<ArrayBuffer>> | null): Promise<void> {
    await this.#input(id).write(body);
  }

  async closeInput(id: string): Promise<void> {
    await this.#input(id).close();
  }

  /** Takes in all reports that arrived together: one write to the log, then everybody who waits is told. */
  onMessages(messages: readonly PumpMessage[]): void {
    const records: LogRecord[] = [];
    const wake = new Set<Set<() => void>>();
    for (const message of messages) {
      const running = this.#slots[message.slot];
      if (running === undefined) continue;
      this.#take(running, message, records, wake);
    }
    if (records.length > 0) this.#recordResults(records);
    for (const wakers of wake) wakeAll(wakers);
    if (records.length > 0) this.#budget.retry();
  }

  #take(running: Running, message: PumpMessage, records: LogRecord[], wake: Set<Set<() => void>>): void {
    const { session } = running;
    switch (message.kind) {
      case "data":
        session.streams[message.streamIndex].end = message.end;
        wake.add(session.streams[message.streamIndex].wakers);
        return void this.#budget.extend(session, message.streamIndex);
      case "paused":
        return void this.#budget.extend(session, message.streamIndex);
      case "failed":
        return this.#onJournalFault(running, message.streamIndex, message.error);
      case "complete": {
        const stream = session.streams[message.streamIndex];
        stream.end = message.end;
        stream.complete = true;
        this.#budget.settle(stream);
        wake.add(stream.wakers);
        records.push({ kind: "complete", id: session.id, streamIndex: message.streamIndex, end: message.end });
        return;
      }
      case "closed":
        return this.#reported(running);
      case "exited":
        records.push(endSession(session, message.waitStatus, (this.#endedCount += 1)));
        wake.add(session.wakers);
        running.over.abort();
        running.input.end();
        this.#running.delete(session.id);
        return this.#reported(running);
      case "stdinReady":
        return running.input.onReady();
    }
  }

  #reported(running: Running): void {
    running.reportsLeft -= 1;
    if (running.reportsLeft === 0) this.#slots[running.slot] = undefined;
  }

  #spawn<T>(session: ExecSession, spawn: () => T): T {
    try {
      return spawn();
    } catch (error) {
      for (const stream of session.streams) this.#budget.settle(stream);
      this.#record([{ kind: "gone", id: session.id }]);
      throw error;
    }
  }

  #run(
    session: ExecSession,
    slot: number,
    { pid, stdinFd }: { readonly pid: number; readonly stdinFd: number },
    timeoutMs: number | undefined,
  ): void {
    const { native } = this.#deps;
    const input = new StandardInput(stdinFd, {
      write: native.write,
      awaitReady: (fd) => void native.awaitStdin(slot, fd),
      errorName,
    });
    const running = { session, slot, pid, input, over: new AbortController(), reportsLeft: 3 };
    this.#slots[slot] = running;
    this.#sessions.set(session.id, session);
    this.#running.set(session.id, running);
    if (timeoutMs !== undefined) void this.#endAfter(running, timeoutMs);
  }

  async #endAfter({ session, over }: Running, timeoutMs: number): Promise<void> {
    try {
      for (let left = timeoutMs; left > 0; left -= LONGEST_TIMER_MS) {
        await this.#deps.clock.sleep(Math.min(left, LONGEST_TIMER_MS), over.signal);
      }
    } catch {
      return;
    }
    this.#end(session.id, "timeout");
  }

  #end(id: string, reason: "timeout" | "kill"): void {
    const running = this.#running.get(id);
    if (running === undefined) return;
    running.session.endedBy ??= reason;
    killFamily(running.pid, () => this.#deps.native.kill(running.slot) === 0);
  }

  #grant(session: ExecSession, streamIndex: 0 | 1): void {
    const running = this.#slots.find((candidate) => candidate?.session === session);
    if (running !== undefined) this.#deps.native.grant(running.slot, streamIndex, session.streams[streamIndex].limit);
  }

  /** The disk refused output: it stays in the pipe, so the command waits and nothing is lost. */
  #onJournalFault({ session, slot }: Running, streamIndex: 0 | 1, error: string): void {
    const { clock, log } = this.#deps;
    if (error === "ENOSPC" && this.#budget.relieve(session, streamIndex)) return;
    log.warn("output cannot be journalled", { command_id: session.id, error });
    const retry = (): void => {
      if (this.#slots[slot]?.session === session) this.#grant(session, streamIndex);
    };
    void clock.sleep(JOURNAL_RETRY_MS).then(retry);
  }

  #session(id: string): ExecSession {
    const session = this.#sessions.get(id);
    if (session === undefined) throw new ProblemError("command-not-found", `The sandbox has no command "${id}".`);
    return session;
  }

  #input(id: string): StandardInput {
    const session = this.#session(id);
    const running = this.#running.get(id);
    if (running !== undefined) return running.input;
    if (session.state === "unknown")
      throw new ProblemError("outcome-unknown", "The agent restarted while the command ran.");
    throw new ProblemError("command-ended", "The command has ended.");
  }

  #freeSlot(): number {
    const slot = this.#slots.indexOf(undefined);
    if (slot >= 0) return slot;
    throw new ProblemError(
      "start-failed",
      `Cannot start the command: ${SLOTS} commands run, or have left processes that hold their output.`,
    );
  }

  /** Forgets the command that ended first among those that nobody reads, when the table is full. */
  #makeRoom(): void {
    if (this.#sessions.size < this.#deps.maxCommands) return;
    let oldest: ExecSession | undefined;
    for (const session of this.#sessions.values()) {
      if (
        session.endedOrder === undefined ||
        session.streams.some(({ complete, lost, readers }) => readers.size > 0 || !(complete || lost))
      )
        continue;
      if (oldest?.endedOrder === undefined || session.endedOrder < oldest.endedOrder) oldest = session;
    }
    if (oldest === undefined)
      throw new ProblemError(
        "capacity-exhausted",
        `The sandbox has ${this.#deps.maxCommands} commands, and none can be forgotten.`,
      );
    this.#budget.forget(oldest);
    this.#sessions.delete(oldest.id);
    this.#record([{ kind: "gone", id: oldest.id }]);
  }

  #record(records: readonly LogRecord[]): void {
    this.#append(records.map(formatRecord).join(""));
    this.#logLines += records.length;
    if (this.#logLines < 16 * this.#deps.maxCommands) return;
    this.#compact([...this.#sessions.values()].map(toLogged));
  }

  #append(text: string): void {
    try {
      this.#deps.store.appendLog(text);
    } catch (cause) {
      if (isDiskFull(cause) && this.#budget.makeRoom()) return this.#append(text);
      throw new ProblemError("disk-full", "The agent cannot write down the command: its disk takes no more.", {
        cause,
      });
    }
  }

  /** The long log stays where there is no room for the short one beside it. */
  #compact(commands: readonly LoggedCommand[]): void {
    try {
      this.#deps.store.replaceLog(compactLog(commands));
    } catch (error) {
      this.#deps.log.warn("the log of commands cannot be shortened", { error });
    }
    this.#logLines = 4 * commands.length;
  }

  /** A result that cannot be written down is still told: only a restart would forget it, and then says so. */
  #recordResults(records: readonly LogRecord[]): void {
    try {
      this.#record(records);
    } catch (error) {
      this.#deps.log.error("results cannot be written down", { error });
    }
  }

  #restore(): void {
    const { store } = this.#deps;
    const text = store.readLog();
    const logged = replayLog(text);
    const extents = store.extents();
    for (const command of logged.values()) {
      const both = [extents.get(`${command.id}.0`), extents.get(`${command.id}.1`)] as const;
      const session = restoreSession(command, both, (this.#endedCount += 1));
      for (const stream of session.streams) this.#budget.adopt(stream);
      this.#sessions.set(session.id, session);
    }
    for (const [key, { first, end }] of extents) {
      const [id = "", streamIndex] = key.split(".");
      if (!logged.has(id)) store.drop(id, Number(streamIndex), { from: first, to: end, whole: true });
    }
    if (text !== "") this.#compact([...logged.values()]);
  }
}

function isDiskFull(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOSPC";
}
