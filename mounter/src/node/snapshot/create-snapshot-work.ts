import type { SnapshotBase } from "#api/snapshot-manifest.ts";
import { manifestKey } from "#core/snapshot/snapshot-keys.ts";
import type { SnapshotWork, Written } from "../../control/snapshot-work.ts";
import type { RecordJob } from "../../domain/record/record-job.ts";
import type { RecordTarget } from "../../domain/record/record-pod.ts";
import { isSnapshotFault } from "../../domain/snapshot-fault.ts";
import { faultCode } from "./fault-code.ts";
import { readStanding } from "./read-standing.ts";
import { snapshotFailure } from "./snapshot-reason.ts";
import { writeCheckpoint, type WriteCheckpointPorts } from "./write-checkpoint.ts";

export interface SnapshotWorkConfig {
  /** Most bytes of a layer, unpacked. */
  readonly mostTarBytes: number;
}

/** Snapshots of this node's containers in the store. */
export function createSnapshotWork(
  ports: WriteCheckpointPorts & Pick<SnapshotWork, "dump">,
  { mostTarBytes }: SnapshotWorkConfig,
): SnapshotWork {
  return {
    dump: ports.dump,
    async write({ folder, warnings }, job, target, call): Promise<Written> {
      const facts = {
        writeId: job.uid,
        namespace: job.namespace,
        name: job.snapshotName,
        createdAt: job.createdAt,
        sandboxName: job.sandboxName,
        containerName: job.containerName,
        base: baseOf(job, target),
      };
      const checkpointName = job.containerName;
      const checkpoint = { folder, checkpointName, facts, below: [], mostTarBytes, lost: warnings };
      const written = await writeCheckpoint(ports, checkpoint, call);
      if (written.kind === "superseded") return { kind: "superseded" };
      return { kind: "published", key: written.key, manifest: written.manifest };
    },
    async find({ namespace, snapshotName: name, uid }, call) {
      const standing = await readStanding(ports.store, { namespace, name }, call);
      if (standing.kind !== "manifest" || standing.manifest.writeId !== uid) return undefined;
      return { kind: "published", key: manifestKey(namespace, name), manifest: standing.manifest };
    },
    failure: (error) => snapshotFailure(isSnapshotFault(error, "unsure") ? error.cause : error),
    faultCode,
  };
}

function baseOf({ base }: RecordJob, { image }: RecordTarget): SnapshotBase {
  return base ?? { image };
}
