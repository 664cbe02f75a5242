import type { Log } from "#core/log.ts";
import type { Sandbox, SandboxPhase, SandboxSpec } from "#core/sandbox.ts";

/** What each call carries: when to stop waiting, and where to write. */
export interface Call {
  readonly signal: AbortSignal;
  readonly log: Log;
}

export interface CreateSandbox {
  /** Chosen by the caller, so that a retry is safe. */
  readonly id: string;
  readonly spec: SandboxSpec;
  /** Digest of the request; a repeat with the same id must carry the same one. */
  readonly requestDigest: string;
  /** True when nobody can find the sandbox before the creator's answer: it is removed at the backend's next start unless confirmed. */
  readonly provisional?: boolean;
}

export interface ListSandboxes {
  /** At most this many; absent = all. */
  readonly limit?: number;
  /** Continue after this id, in creation order. */
  readonly after?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly next?: string;
}

/** Sends one request of the agent protocol (`api/agent.ts`); the URL's host is ignored, path and query count. */
export type AgentFetch = (request: Request) => Promise<Response>;

/**
 * The gateway's one port to the world that runs sandboxes. Methods throw ProblemError only.
 * Every implementation passes `test/conformance/backend.ts`.
 */
export interface SandboxBackend {
  /**
   * Records the sandbox durably and begins to start it; answers without waiting for Running.
   * Same id and digest: answers the existing one. Same id, other digest: `idempotency-mismatch`.
   * A fault in the start shows later as phase Failed, never here.
   */
  create(request: CreateSandbox, call: Call): Promise<Sandbox>;
  /** Makes a provisional sandbox last, just before its creator is answered. Idempotent. */
  confirm(id: string, call: Call): Promise<void>;
  /** `sandbox-not-found` when absent. */
  get(id: string, call: Call): Promise<Sandbox>;
  list(query: ListSandboxes, call: Call): Promise<Page<Sandbox>>;
  /** The phase of each sandbox as it is known now, for numbers: without asking anybody, and cheap. */
  phases(): Iterable<SandboxPhase>;
  /** Idempotent: an absent id is no fault. Answers when the removal is recorded; it is finished in the background. */
  remove(id: string, call: Call): Promise<void>;
  /**
   * Level-based: the present state first, then the latest after each change; steps may be
   * skipped. Ends when the sandbox is gone or the signal aborts. `sandbox-not-found` when absent.
   */
  watch(id: string, call: Call): AsyncIterable<Sandbox>;
  /** The agent of a Running sandbox; `sandbox-not-ready` or `sandbox-ended` (409) otherwise. */
  agent(id: string, call: Call): Promise<AgentFetch>;
  /** Resolves when the backend can take work; `unavailable` otherwise. */
  ready(call: Call): Promise<void>;
  /** Stops watching and timers; running sandboxes stay. */
  close(): Promise<void>;
}
