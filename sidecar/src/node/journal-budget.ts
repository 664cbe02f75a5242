import type { ExecSession, SessionStream } from "../domain/exec-session.ts";
import { chargedBytes, nextLimit, planDrops } from "../domain/journal.ts";
import type { JournalStore } from "./journal-store.ts";

export interface JournalBudgetDeps {
  readonly budgetBytes: number;
  readonly store: JournalStore;
  readonly sessions: () => Iterable<ExecSession>;
  /** Lets the pump write up to the stream's limit. */
  readonly grant: (session: ExecSession, streamIndex: 0 | 1) => void;
}

/** Decides how far each stream may write, and drops old output for it. */
export class JournalBudget {
  readonly #deps: JournalBudgetDeps;
  readonly #waiting = new Map<SessionStream, () => boolean>();
  #usedBytes = 0;

  constructor(deps: JournalBudgetDeps) {
    this.#deps = deps;
  }

  /** Takes what a restored stream keeps into the accounts. */
  adopt(stream: SessionStream): void {
    this.#usedBytes += chargedBytes(stream);
  }

  /** Charges `bytes`, dropping old output when needed; false when the writer has to wait. */
  reserve(bytes: number): boolean {
    const { budgetBytes, store, sessions } = this.#deps;
    const missing = this.#usedBytes + bytes - budgetBytes;
    if (missing > 0) {
      const drops = planDrops([...sessions()], missing, store.segmentBytes);
      if (drops === undefined) return false;
      for (const { command, streamIndex, stream, first } of drops) this.#drop(command, streamIndex, stream, first);
    }
    this.#usedBytes += bytes;
    return true;
  }

  /** The stream has grown, or waits at its limit: gives it more when there is room. */
  extend(session: ExecSession, streamIndex: 0 | 1): boolean {
    const stream = session.streams[streamIndex];
    const limit = nextLimit(stream, this.#deps.store.segmentBytes);
    if (stream.complete || limit === stream.limit) return true;
    if (!this.reserve(limit - stream.limit)) {
      this.#waiting.set(stream, () => this.extend(session, streamIndex));
      return false;
    }
    stream.limit = limit;
    this.#deps.grant(session, streamIndex);
    return true;
  }

  /**
   * The disk took no more before the budget was used up: drops old output for the stream, at once
   * or when some may go.
   */
  relieve(session: ExecSession, streamIndex: 0 | 1): boolean {
    const stream = session.streams[streamIndex];
    if (stream.complete) return true;
    if (!this.makeRoom()) {
      this.#waiting.set(stream, () => this.relieve(session, streamIndex));
      return false;
    }
    this.#deps.grant(session, streamIndex);
    return true;
  }

  /** Drops about a segment of old output, whatever the budget says; false when all of it is wanted. */
  makeRoom(): boolean {
    const { store, sessions } = this.#deps;
    const all = [...sessions()];
    const drops = planDrops(all, store.segmentBytes, store.segmentBytes) ?? planDrops(all, 1, store.segmentBytes);
    for (const { command, streamIndex, stream, first } of drops ?? []) this.#drop(command, streamIndex, stream, first);
    return drops !== undefined;
  }

  /** Room may have become free: a reader got on or left, a stream is complete. */
  retry(): void {
    // Those that must go on waiting come back into the map while this runs.
    const waiting = [...this.#waiting];
    for (const [stream, extend] of waiting) {
      this.#waiting.delete(stream);
      if (!extend()) return;
    }
  }

  /** The stream will not grow: what it was granted and did not use is free. */
  settle(stream: SessionStream): void {
    this.#waiting.delete(stream);
    this.#usedBytes -= stream.limit - stream.end;
    stream.limit = stream.end;
  }

  /** Drops all that is kept of a command that is forgotten. */
  forget(session: ExecSession): void {
    for (const streamIndex of [0, 1] as const) {
      const stream = session.streams[streamIndex];
      this.settle(stream);
      this.#drop(session.id, streamIndex, stream, stream.end);
    }
  }

  #drop(id: string, streamIndex: 0 | 1, stream: SessionStream, first: number): void {
    this.#deps.store.drop(id, streamIndex, { from: stream.first, to: first, whole: first === stream.end });
    this.#usedBytes -= first - stream.first;
    stream.first = first;
  }
}
