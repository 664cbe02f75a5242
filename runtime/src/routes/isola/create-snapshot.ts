import type { CreateRootfsSnapshotRequest } from "#api/snapshot.ts";
import { digestOf, snapshotIdOfKey } from "#core/derived-id.ts";
import { ProblemError } from "#core/problem-error.ts";
import { isFinished, type Snapshot, type SnapshotSpec } from "#core/snapshot/snapshot.ts";
import type { Call, SnapshotBackend } from "../../backend/port.ts";
import type { RouteDeps } from "../../gateway.ts";
import { settled } from "./settled.ts";

/** Begins a snapshot and waits for a bounded time until it is finished. It goes on when the caller goes away. */
export async function createSnapshot(
  request: CreateRootfsSnapshotRequest,
  key: string | undefined,
  { snapshots, clock, ids, config, call }: RouteDeps & { readonly snapshots: SnapshotBackend; readonly call: Call },
): Promise<Snapshot> {
  const { $schema: _, ...facts } = request;
  const requestDigest = await digestOf(facts);
  const id = key === undefined ? ids.sandboxId() : await snapshotIdOfKey(key);
  const untilMs = clock.now() + config.createWaitMs;
  const first = await snapshots.create({ id, spec: toSnapshotSpec(request), requestDigest }, call);
  try {
    const isSettled = ({ phase }: Snapshot): boolean => isFinished(phase);
    return await settled({ first, isSettled, watch: (of) => snapshots.watch(id, of), untilMs, clock, call });
  } catch (error) {
    // Someone else may have removed it meanwhile: the answer is what was made all the same.
    if (error instanceof ProblemError && error.slug === "snapshot-not-found") return first;
    throw error;
  }
}

function toSnapshotSpec(request: CreateRootfsSnapshotRequest): SnapshotSpec {
  const { sandboxId, snapshotName = sandboxId, containerName, timeoutSeconds, ttlSecondsAfterFinished } = request;
  return {
    sandboxId,
    snapshotName,
    ...(containerName === undefined ? {} : { containerName }),
    timeoutSeconds,
    ttlSecondsAfterFinished,
  };
}
