import type { MounterFault } from "#api/mounter-channel.ts";
import type { SnapshotManifest, SnapshotWarning } from "#api/snapshot-manifest.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";
import type { SnapshotReason } from "#core/snapshot/snapshot.ts";
import type { RecordJob } from "../domain/record/record-job.ts";
import type { RecordTarget } from "../domain/record/record-pod.ts";

/** What a container had changed of its root at one moment, on this node's disk until it is removed. */
export interface Dump {
  readonly folder: string;
  /** What it lacks of the container, as soon as that is known; never rejects. Absent = nothing. */
  readonly warnings?: Promise<readonly SnapshotWarning[]>;
  remove(): Promise<void>;
}

export interface WorkCall {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: SnapshotProgress) => void;
}

export interface WriteCall extends WorkCall {
  /** Asked before the manifest is sent; it says until when that may be, or throws. */
  readonly beforePublish: (signal: AbortSignal) => Promise<{ readonly untilMs: number }>;
}

/** `superseded` = a newer snapshot of that name stands, and stays. */
export type Written =
  | { readonly kind: "published"; readonly key: string; readonly manifest: SnapshotManifest }
  | { readonly kind: "superseded" };

/** What taking a snapshot does to the node and the store. */
export interface SnapshotWork {
  /** Saves a container. Who leaves is not waited for; what was saved in vain removes itself. */
  dump(target: RecordTarget, call: WorkCall): Promise<Dump>;
  write(dump: Dump, job: RecordJob, target: RecordTarget, call: WriteCall): Promise<Written>;
  /** The manifest of this very record, if it stands. */
  find(job: Pick<RecordJob, "namespace" | "snapshotName" | "uid">, call: WorkCall): Promise<Written | undefined>;
  /** Any fault as a record says it. */
  failure(error: unknown): { readonly reason: SnapshotReason; readonly message: string };
  /** What can be done about it; `unsure` = only a look at the store says what stands there. */
  faultCode(error: unknown): MounterFault["code"];
}
