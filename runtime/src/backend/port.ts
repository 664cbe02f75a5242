import type { Log } from "#core/log.ts";
import type { Sandbox, SandboxPhase, SandboxSpec } from "#core/sandbox.ts";
import type { PageQuery } from "#core/snapshot/page-of.ts";
import type { Snapshot, SnapshotSpec } from "#core/snapshot/snapshot.ts";

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

export interface CreateSnapshot {
  /** Chosen by the caller, so that a retry is safe. */
  readonly id: string;
  readonly spec: SnapshotSpec;
  /** Digest of the request; a repeat with the same id must carry the same one. */
  readonly requestDigest: string;
}

/** Only those of which all that is given is true. */
export interface ListSnapshots extends PageQuery {
  readonly snapshotName?: string;
  readonly sandboxId?: string;
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
  /** Present when the backend takes and restores snapshots; without it nobody may ask for one. */
  readonly snapshots?: SnapshotBackend;
  /** Resolves when the backend can take work; `unavailable` otherwise. */
  ready(call: Call): Promise<void>;
  /** Stops watching and timers; running sandboxes stay. */
  close(): Promise<void>;
}

/**
 * Records of snapshots, and through them what lies in the store. A record goes some time after its
 * end; what it wrote stays. Records that write the same name take turns in the order of their creation,
 * which `createdAtMs` tells: of two that one caller makes one after the other, the later one has the larger.
 */
export interface SnapshotBackend {
  /**
   * Records durably what is to be taken and begins with it; answers without waiting. A sandbox that
   * is not there or not running is no fault here: the record fails. Same id and digest: answers
   * the existing one. Same id, other digest: `idempotency-mismatch`.
   */
  create(request: CreateSnapshot, call: Call): Promise<Snapshot>;
  /** `snapshot-not-found` when absent. */
  get(id: string, call: Call): Promise<Snapshot>;
  /** In the order of creation. */
  list(query: ListSnapshots, call: Call): Promise<Page<Snapshot>>;
  /**
   * Removes the record; one that is being taken is given up. Removes what it wrote too, unless a later
   * one wrote the same name since. `snapshot-in-use` while a sandbox that is to start from it is
   * Pending: then nothing is removed. Idempotent: an absent id is no fault.
   */
  remove(id: string, call: Call): Promise<void>;
  /** Level-based, as `SandboxBackend.watch`. `snapshot-not-found` when absent. */
  watch(id: string, call: Call): AsyncIterable<Snapshot>;
}
