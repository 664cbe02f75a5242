import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import type { RestoreOwner } from "#core/kubernetes/names.ts";

/** What a snapshot's name means now, before any of it is read. */
export interface FoundRestore {
  /** Absent for an archive that another program wrote. */
  readonly manifest?: SnapshotManifest;
  /** Unpacked; absent as long as it is not known. */
  readonly tarBytes?: number;
}

export interface RestoreCall {
  readonly signal: AbortSignal;
  /** Told what keeps it from going on, for `fault` to say it. */
  readonly onTrouble?: (error: unknown) => void;
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void;
}

/** An archive in its place, until it is let go. */
export interface PlacedRestore {
  readonly tarBytes: number;
  /** The archive goes; a container that has it open keeps it. */
  remove(): Promise<void>;
}

/** What restoring does to the node. */
export interface RestoreWork<Found extends FoundRestore = FoundRestore> {
  /** Undefined = there is no such snapshot yet. */
  find(place: { readonly namespace: string; readonly name: string }, call: RestoreCall): Promise<Found | undefined>;
  /** Brings exactly what was found and puts it, complete, where the container's kernel looks for it. */
  place(owner: RestoreOwner, containerName: string, found: Found, call: RestoreCall): Promise<PlacedRestore>;
  /** What a former life of this program put there; undefined = nothing. */
  placed(owner: RestoreOwner, containerName: string): Promise<PlacedRestore | undefined>;
  /** Removes what lies there of all sandboxes but these. */
  sweep(kept: readonly RestoreOwner[]): Promise<void>;
  /** A fault in one sentence; `isFinal` = waiting cannot mend it. */
  fault(error: unknown): { readonly message: string; readonly isDamage: boolean };
}
