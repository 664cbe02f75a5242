import type { SandboxResource, SandboxRootfsRestore } from "#api/crd/sandbox.ts";
import { createChange } from "#core/change.ts";
import type { Clock } from "#core/clock.ts";
import type { Reconcile } from "#core/kubernetes/control/reconcile.ts";
import type { RestoreOwner } from "#core/kubernetes/names.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import type { Log } from "#core/log.ts";
import { restoreNeed, type RestoreJob } from "../domain/restore/restore-job.ts";
import { runRestores, type RestoreOutcome } from "./restore-run.ts";
import { createRestoreTeller } from "./restore-teller.ts";
import type { RestoreWork } from "./restore-work.ts";

export interface RestoreReconcilerOptions {
  readonly work: RestoreWork;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** A sandbox and its pod on this node, as the caches have them; the key is the sandbox's. */
  readonly find: (key: string) => { readonly sandbox: SandboxResource | undefined; readonly pod: Pod | undefined };
  /** The same by the sandbox's uid. */
  readonly findOwner: (owner: RestoreOwner) => {
    readonly sandbox: SandboxResource | undefined;
    readonly pod: Pod | undefined;
  };
  /** Says it in the sandbox's status; false = the sandbox is gone. */
  readonly write: (job: RestoreJob, restores: readonly SandboxRootfsRestore[], signal: AbortSignal) => Promise<boolean>;
  readonly untilWritten: (namespace: string, name: string, mostMs: number, signal: AbortSignal) => Promise<void>;
  readonly enqueueAt: (key: string, atMs: number) => void;
  readonly observer?: RestoreObserver;
}

/** Where the numbers of restores go. */
export interface RestoreObserver {
  /** From the pod's appearance here until all was in place, or can never be. */
  restored(kind: RestoreOutcome["kind"], durationMs: number): void;
}

export interface RestoreReconciler {
  /** Begins what sandboxes need, and clears away what they need no longer. Answers at once. */
  readonly reconcile: Reconcile;
  /** Resolves when the containers of this sandbox may start. */
  untilReleased(owner: RestoreOwner, signal: AbortSignal): Promise<void>;
  /** Sandboxes that wait. */
  readonly active: number;
  idle(): Promise<void>;
}

interface Running {
  readonly job: RestoreJob;
  readonly abort: AbortController;
  readonly done: Promise<RestoreOutcome | undefined>;
  outcome?: RestoreOutcome;
}

/** What failed in a way that nobody foresaw is begun again after so long. */
const AGAIN_MS = 3000;

/** Restores the sandboxes of one node; `life` ends when the program does: what is in place stays. */
export function createRestoreReconciler(options: RestoreReconcilerOptions, life: AbortSignal): RestoreReconciler {
  const { clock, random, log, work } = options;
  const running = new Map<string, Running>();
  const changed = createChange();

  const begin = (key: string, job: RestoreJob, said: readonly SandboxRootfsRestore[]): void => {
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, life]);
    const startMs = clock.now();
    const teller = createRestoreTeller({
      clock,
      random,
      write: (restores, limited) => options.write(job, restores, limited),
      failed: (error) => log.warn("The state of a restore cannot be written now", { sandbox: key, error }),
    });
    const untilWritten = (name: string, mostMs: number, limited: AbortSignal): Promise<void> =>
      options.untilWritten(job.namespace, name, mostMs, limited);
    const restore = async (): Promise<RestoreOutcome | undefined> => {
      const over = new AbortController();
      const telling = teller.run(AbortSignal.any([signal, over.signal]));
      try {
        const outcome = await runRestores({ work, teller, clock, random, log, untilWritten, said }, job, signal);
        entry.outcome = outcome;
        options.observer?.restored(outcome.kind, clock.now() - startMs);
        return outcome;
      } catch (error) {
        if (signal.aborted) return undefined;
        log.error("A restore is begun again", { sandbox: key, error });
        running.delete(key);
        options.enqueueAt(key, clock.now() + AGAIN_MS);
        return undefined;
      } finally {
        over.abort(IS_OVER);
        await telling;
        changed.notify();
      }
    };
    // In the next microtask: what it does at once already finds its entry.
    const entry: Running = { job, abort, done: Promise.resolve().then(restore) };
    running.set(key, entry);
  };

  const clear = async (key: string, entry: Running): Promise<void> => {
    running.delete(key);
    entry.abort.abort(IS_OVER);
    const outcome = await entry.done;
    for (const { remove } of outcome?.placed ?? []) await remove();
  };

  const isReleased = (owner: RestoreOwner): boolean => {
    const { sandbox, pod } = options.findOwner(owner);
    const need = restoreNeed(sandbox, pod);
    if (need.kind !== "needed") return need.kind === "over";
    const { sandboxUid, podUid } = need.job;
    return [...running.values()].some(
      ({ job, outcome }) => job.sandboxUid === sandboxUid && job.podUid === podUid && outcome?.kind === "ready",
    );
  };

  return {
    async reconcile(key) {
      const { sandbox, pod } = options.find(key);
      const need = restoreNeed(sandbox, pod);
      const entry = running.get(key);
      const isSame =
        need.kind === "needed" && entry?.job.sandboxUid === need.job.sandboxUid && entry.job.podUid === need.job.podUid;
      if (entry !== undefined && !isSame) await clear(key, entry);
      if (need.kind === "needed" && !isSame) begin(key, need.job, sandbox?.status?.rootfsRestores ?? []);
      changed.notify();
      return {};
    },
    async untilReleased(owner, signal) {
      while (!isReleased(owner)) await changed.wait(signal);
    },
    get active() {
      return [...running.values()].filter(({ outcome }) => outcome === undefined).length;
    },
    async idle() {
      await Promise.all([...running.values()].map(({ done }) => done));
    },
  };
}

const IS_OVER = new Error("The restore is over");
