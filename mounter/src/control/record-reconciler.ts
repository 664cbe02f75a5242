import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { Reconcile } from "#core/kubernetes/control/reconcile.ts";
import { RecordFault } from "../domain/record-fault.ts";
import { isOpenFor, jobStanding, planRecord, type RecordJob } from "../domain/record/record-job.ts";
import type { RecordEnd } from "../domain/record/record-patch.ts";
import { runRecordJob, TAKEN_AWAY, type RecordJobPorts } from "./record-job.ts";

export interface RecordReconcilerOptions extends RecordJobPorts {
  /** A record as the cache has it. */
  readonly find: (key: string) => RootfsSnapshotResource | undefined;
  /** Asks for another look at a record. */
  readonly enqueue: (key: string) => void;
  readonly enqueueAt: (key: string, atMs: number) => void;
  readonly observer?: RecordObserver;
}

/** Where the numbers of snapshots go. */
export interface RecordObserver {
  began(): void;
  ended(durationMs: number): void;
}

export interface RecordReconciler {
  /** Begins the jobs of records, and ends those of records that are somebody else's now. Answers at once. */
  readonly reconcile: Reconcile;
  /** Jobs under way. */
  readonly active: number;
  /** Resolves when no job runs any more. */
  idle(): Promise<void>;
}

interface RunningJob {
  readonly uid: string;
  readonly wanted: AbortController;
  readonly done: Promise<void>;
}

/** A job that could say nothing of its record is begun again after so long. */
const AGAIN_MS = 3000;

/** Works on the records of one node; `life` ends when the program does. */
export function createRecordReconciler(options: RecordReconcilerOptions, life: AbortSignal): RecordReconciler {
  const { find, nodeName, writes, clock, log } = options;
  const jobs = new Map<string, RunningJob>();

  const begin = (key: string, job: RecordJob): void => {
    const wanted = new AbortController();
    const startMs = clock.now();
    options.observer?.began();
    const work = async (): Promise<void> => {
      try {
        await runRecordJob(options, job, { wanted: wanted.signal, life });
        jobs.delete(key);
        options.enqueue(key);
      } catch (error) {
        jobs.delete(key);
        if (life.aborted) return;
        log.warn("A snapshot is begun again", { record: key, error });
        options.enqueueAt(key, clock.now() + AGAIN_MS);
      } finally {
        options.observer?.ended(clock.now() - startMs);
      }
    };
    jobs.set(key, { uid: job.uid, wanted, done: work() });
  };

  const end = async (record: RootfsSnapshotResource, message: string, signal: AbortSignal): Promise<void> => {
    const { namespace = "", name, uid = "" } = record.metadata;
    const failed: RecordEnd = { kind: "failed", reason: "DumpFailed", message };
    await writes.end({ namespace, name, uid }, failed, (now) => isOpenFor(now, nodeName), signal);
  };

  return {
    async reconcile(key, signal) {
      const record = find(key);
      const running = jobs.get(key);
      if (running !== undefined) {
        const standing = jobStanding(record, running, nodeName);
        if (standing === "over") running.wanted.abort(TAKEN_AWAY);
        if (standing === "leaving") running.wanted.abort(new RecordFault("DumpFailed", WITHDRAWN));
        return {};
      }
      if (record === undefined) return {};
      const plan = planRecord(record, nodeName);
      if (plan.kind === "refuse") await end(record, plan.message, signal);
      if (plan.kind !== "take") return {};
      const isLeaving = record.metadata.deletionTimestamp !== undefined;
      if (isLeaving && plan.job.publishByMs === undefined) {
        await end(record, WITHDRAWN, signal);
        return {};
      }
      begin(key, plan.job);
      // Only what a former life may have achieved is looked for: the next look tells the job.
      if (isLeaving) options.enqueue(key);
      return {};
    },
    get active() {
      return jobs.size;
    },
    async idle() {
      await Promise.all([...jobs.values()].map(({ done }) => done));
    },
  };
}

const WITHDRAWN = "The record was removed before the snapshot was complete.";
