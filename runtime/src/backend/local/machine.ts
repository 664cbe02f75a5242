import type { SnapshotWarning } from "#api/snapshot-manifest.ts";
import type { SandboxReason, SandboxSpec } from "#core/sandbox.ts";
import type { AgentFetch, Call } from "#runtime/backend/port.ts";
import type { Checkpoint, CheckpointCall, LossesCall } from "./checkpoint.ts";
import type { HeldContainer } from "./held.ts";
import type { RootRestore } from "./root-restore.ts";
import type { Shape } from "./shape.ts";

/**
 * One booted sandbox kernel with its agent, before or after it became somebody's sandbox.
 * Its id names everything of it on the host: link, cgroup, sockets, folders.
 */
export interface Boot {
  readonly id: string;
  readonly shape: Shape;
  /** Its containers that wait for their program, or have got it. */
  readonly held: readonly HeldContainer[];
  /** Names of the containers that have got their program. */
  readonly containers: readonly string[];
}

export type ContainerEnd =
  | { readonly kind: "exited"; readonly exitCode: number }
  /** The sandbox's kernel is gone and took the container with it. */
  | { readonly kind: "lost"; readonly reason: SandboxReason; readonly message: string };

/** A fault of a start that the sandbox's user can act on; becomes phase Failed with this reason. */
export class StartError extends Error {
  readonly reason: SandboxReason;

  constructor(reason: SandboxReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StartError";
    this.reason = reason;
  }
}

export interface StartRequest {
  readonly spec: SandboxSpec;
  /** What containers start from besides their images, by their names. */
  readonly restores: ReadonlyMap<string, RootRestore>;
  /** Takes the boot as this sandbox's own before anything of the sandbox goes into it. */
  own(boot: Boot): Promise<void>;
  /** Lets few start at once: entered when all that they start from is here, so that none holds up others while it comes. */
  slot<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

/** What the backend does to the machine. Each effect is safe to repeat; the caller may be killed at any line. */
export interface Machine {
  /**
   * Brings the images, enters `slot`, takes a booted sandbox that reaches nothing yet from the pool or makes one,
   * hands it to `own`, then applies network policy and starts every container. Throws StartError.
   */
  start(request: StartRequest, call: Call): Promise<Boot>;
  /** Resolves when the agent answers. */
  agentReady(boot: Boot, call: Call): Promise<void>;
  /** Waits for the end of a container's main process. */
  waitContainer(boot: Boot, container: string, signal: AbortSignal): Promise<ContainerEnd>;
  agentFetch(boot: Boot): AgentFetch;
  /** Saves what a running container has changed of its root; throws CheckpointError. The sandbox stands still meanwhile, then goes on. */
  checkpoint(boot: Boot, container: string, call: CheckpointCall): Promise<Checkpoint>;
  /** What checkpoints of a running container lack, as it is now; a warning when nobody can look, never a fault. */
  losses(boot: Boot, container: string, call: LossesCall): Promise<readonly SnapshotWarning[]>;
  /** Removes everything of the boot; an absent one is no fault. */
  destroy(bootId: string): Promise<void>;
  /** Fills the pool up to its size; called after each take and at start. */
  refillPool(): void;
  /** Living boots on this machine by id; dead ones are absent. */
  livingBoots(): Promise<ReadonlyMap<string, Boot>>;
  /** Takes unowned living boots into the pool or removes them, and removes what dead and unowned ones left. */
  adopt(unowned: readonly Boot[], owned: ReadonlySet<string | undefined>): Promise<void>;
  /** Why this boot died, as far as the machine can still tell. */
  postMortem(bootId: string): Promise<{ reason: SandboxReason; message: string }>;
  /** Removes the pool and what was made ahead; `forGood` also what all sandboxes share, when none is left. */
  close(how: { readonly forGood: boolean }): Promise<void>;
}
