import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";
import { backoffMs } from "#core/backoff.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { isConflict, isNotFound, KubeError } from "#core/kubernetes/kube-error.ts";
import { SNAPSHOT_DATA_FINALIZER } from "#core/kubernetes/names.ts";
import { ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import type { Log } from "#core/log.ts";
import { endPatch, publishPatch, type RecordEnd } from "../domain/record/record-patch.ts";

/** The name of this program in the record of who wrote what. */
export const FIELD_MANAGER = "atoll-mounter";

/** Which record, and this one alone: another of its name is not meant. */
export interface RecordRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** What becomes of a guarded write: it is done, or the record is not as it would have to be, or gone. */
export type Guarded = "written" | "refused" | "gone";

/** Writes to records. Each is made over exactly the version that it was decided upon. */
export interface RecordWrites {
  /**
   * Lets the manifest be sent for so long from the write on, if `mayPublish` still says so of the record as
   * it is; answers until when, undefined when it may not be.
   */
  allowPublish(
    ref: RecordRef,
    windowMs: number,
    mayPublish: (record: RootfsSnapshotResource) => boolean,
    signal: AbortSignal,
  ): Promise<number | undefined>;
  /** Says how it ended, unless `mayEnd` says that somebody else has. Tries until the signal fires. */
  end(
    ref: RecordRef,
    end: RecordEnd,
    mayEnd: (record: RootfsSnapshotResource) => boolean,
    signal: AbortSignal,
  ): Promise<Guarded>;
  /** Lets a record go that is being removed, if `mayGo` still says so of the record as it is. */
  release(ref: RecordRef, mayGo: (record: RootfsSnapshotResource) => boolean, signal: AbortSignal): Promise<Guarded>;
  /** Best effort. */
  progress(ref: RecordRef, progress: SnapshotProgress, signal: AbortSignal): Promise<void>;
}

export interface RecordWritesOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Takes over what the API server answered. */
  readonly upsert: (record: RootfsSnapshotResource) => void;
}

const PAUSE = { firstMs: 50, mostMs: 5000 };
const STATUS = { subresource: "status" } as const;

/** A merge patch: of the status, or of the object's own data. */
type RecordChange =
  | { readonly status: object; readonly metadata?: never }
  | { readonly metadata: { readonly finalizers: readonly string[] } };

export function createRecordWrites({ client, clock, random, log, upsert }: RecordWritesOptions): RecordWrites {
  /**
   * Reads, decides and writes until it is clear what happened. No answer may mean that it was written:
   * the next round reads it, and to write the same again does no harm.
   */
  const guarded = async (
    { namespace, name, uid }: RecordRef,
    decide: (record: RootfsSnapshotResource) => RecordChange | undefined,
    signal: AbortSignal,
  ): Promise<Guarded> => {
    for (let round = 0; ; round += 1) {
      signal.throwIfAborted();
      try {
        const record = await client.get(ROOTFS_SNAPSHOTS, { namespace, name }, { signal });
        if (record.metadata.uid !== uid) return "gone";
        const change = decide(record);
        if (change === undefined) return "refused";
        const metadata = { ...change.metadata, uid, resourceVersion: record.metadata.resourceVersion };
        const options = { fieldManager: FIELD_MANAGER, ...(change.metadata === undefined ? STATUS : {}) };
        upsert(await client.patch(ROOTFS_SNAPSHOTS, { namespace, name }, { ...change, metadata }, { signal }, options));
        return "written";
      } catch (error) {
        signal.throwIfAborted();
        if (isNotFound(error)) return "gone";
        if (!isConflict(error) && !mayPass(error)) throw error;
        if (round > 0) log.debug("A record cannot be written now", { record: `${namespace}/${name}`, error });
        await clock.sleep(backoffMs(round, PAUSE, random), signal);
      }
    }
  };

  return {
    async allowPublish(ref, windowMs, mayPublish, signal) {
      let publishByMs = 0;
      const decide = (record: RootfsSnapshotResource): RecordChange | undefined => {
        if (!mayPublish(record)) return undefined;
        // The record says it in whole seconds, and nothing is sent after what it says.
        publishByMs = Math.floor((clock.now() + windowMs) / 1000) * 1000;
        return publishPatch(publishByMs);
      };
      return (await guarded(ref, decide, signal)) === "written" ? publishByMs : undefined;
    },
    end: (ref, end, mayEnd, signal) =>
      guarded(ref, (record) => (mayEnd(record) ? endPatch(record, end, clock.now()) : undefined), signal),
    release: (ref, mayGo, signal) =>
      guarded(
        ref,
        (record) => {
          const { finalizers = [] } = record.metadata;
          if (!mayGo(record) || !finalizers.includes(SNAPSHOT_DATA_FINALIZER)) return undefined;
          return { metadata: { finalizers: finalizers.filter((name) => name !== SNAPSHOT_DATA_FINALIZER) } };
        },
        signal,
      ),
    async progress({ namespace, name, uid }, progress, signal) {
      // A merge keeps what is not named.
      const whole = { bytesTotal: null, message: null, ...progress };
      const patch = { metadata: { uid }, status: { progress: whole } };
      const options = { ...STATUS, fieldManager: FIELD_MANAGER };
      await client
        .patch(ROOTFS_SNAPSHOTS, { namespace, name }, patch, { signal }, options)
        .then(upsert, (error: unknown) => {
          log.debug("Progress was not written", { record: `${namespace}/${name}`, error });
        });
    },
  };
}

/** Overload, restarts, no answer: nothing that is wrong with the request. */
function mayPass(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 0 || error.status === 429 || error.status >= 500);
}
