import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SnapshotBase } from "#api/snapshot-manifest.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import { comparePlaces, type Placed } from "#core/snapshot/page-of.ts";
import { snapshotNameOf, toSnapshot } from "./to-snapshot.ts";

/** A write that succeeded, as its record told. */
interface Write extends Placed {
  readonly writeId: string;
  readonly base: SnapshotBase;
}

/** What the copy of the records is asked for. */
export interface RecordsByName {
  /** Those that write this name. */
  (snapshotName: string): readonly RootfsSnapshotResource[];
}

/**
 * Which write of each name was the last, as far as records have told. Writes of one name go in the
 * order of their records' creation. A record goes before others of its name where its life is
 * shorter, and what it wrote stays: so the last write is remembered as long as there is any record of its name.
 */
export class KnownWrites {
  private readonly last = new Map<string, Write>();
  private readonly recordsOf: RecordsByName;

  constructor(recordsOf: RecordsByName) {
    this.recordsOf = recordsOf;
  }

  /** Takes over what a record says now; undefined = it is gone. */
  onRecord(now: RootfsSnapshotResource | undefined, before: RootfsSnapshotResource | undefined): void {
    if (now !== undefined) this.note(snapshotNameOf(now), writeOf(now));
    const left = before && snapshotNameOf(before);
    if (left !== undefined && this.recordsOf(left).length === 0) this.last.delete(left);
  }

  /** Whether what this record wrote is what its name means, as far as it is known here. */
  isCurrent(record: RootfsSnapshotResource): boolean {
    const write = writeOf(record);
    return write !== undefined && this.last.get(snapshotNameOf(record))?.writeId === write.writeId;
  }

  /**
   * The image of what a name means now; undefined where that is not certain: the last write's record
   * is gone or going, and its data may be gone with it, or another write is under way.
   */
  baseOf(snapshotName: string): SnapshotBase | undefined {
    const last = this.last.get(snapshotName);
    const records = this.recordsOf(snapshotName);
    if (last === undefined || records.some((record) => !isFinished(toSnapshot(record).phase))) return undefined;
    const stands = records.some(
      (record) => record.metadata.deletionTimestamp === undefined && writeOf(record)?.writeId === last.writeId,
    );
    return stands ? last.base : undefined;
  }

  private note(name: string, write: Write | undefined): void {
    const known = this.last.get(name);
    if (write !== undefined && (known === undefined || comparePlaces(write, known) > 0)) this.last.set(name, write);
  }
}

function writeOf(record: RootfsSnapshotResource): Write | undefined {
  const { id, createdAtMs, result } = toSnapshot(record);
  return result === undefined ? undefined : { id, createdAtMs, writeId: result.writeId, base: result.base };
}
