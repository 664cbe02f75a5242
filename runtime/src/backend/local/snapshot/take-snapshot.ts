import type { MounterAnswer, MounterAsk, WriteGround } from "#api/mounter-channel.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";
import { backoffMs } from "#core/backoff.ts";
import type { Clock } from "#core/clock.ts";
import type { SnapshotReason, SnapshotResult } from "#core/snapshot/snapshot.ts";
import type { Call } from "#runtime/backend/port.ts";
import { CheckpointError, type Checkpoint, type CheckpointFault } from "../checkpoint.ts";
import type { Boot, Machine } from "../machine.ts";
import { MounterError, type Mounter } from "../mounter.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";

/** A container that can be taken. */
export interface SnapshotSource {
  readonly boot: Boot;
  readonly containerName: string;
  /** As the sandbox names it. */
  readonly image: string;
  /** What it stands on besides its image. */
  readonly ground: WriteGround;
}

export interface TakeDeps {
  readonly machine: Pick<Machine, "checkpoint">;
  readonly mounter: Pick<Mounter, "write">;
  readonly clock: Clock;
  readonly random: () => number;
  readonly namespace: string;
  /** Most bytes of a snapshot, unpacked. */
  readonly mostTarBytes: number;
}

export interface TakeCall extends Call {
  onProgress(progress: SnapshotProgress): void;
  beforePublish(): Promise<number>;
}

/** Why a snapshot was not taken, as its record says it. */
export class TakeFault extends Error {
  readonly reason: SnapshotReason;

  constructor(reason: SnapshotReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "TakeFault";
    this.reason = reason;
  }
}

const BUSY_PAUSE_MS = 100;
const STORE_PAUSE = { firstMs: 1_000, mostMs: 15_000 };
/** So long before its time is over a snapshot fails by what it last met, not by the clock. */
const LAST_WORDS_MS = 2_000;

/** Saves the container, and brings what it has changed into the store. Throws TakeFault, MounterError of the code `unsure`, or the signal's reason. */
export async function takeSnapshot(
  deps: TakeDeps,
  { record, source }: { readonly record: SnapshotRecord; readonly source: SnapshotSource },
  call: TakeCall,
): Promise<SnapshotResult> {
  call.onProgress({ phase: "Dumping", bytesDone: 0 });
  const checkpoint = await save(deps, { record, source }, call);
  try {
    const { ground } = source;
    checkGround(ground, checkpoint);
    const base = { image: source.image, ...(checkpoint.base === undefined ? {} : { digest: checkpoint.base }) };
    const { namespace, mostTarBytes } = deps;
    const facts = {
      writeId: record.writeId,
      namespace,
      name: record.spec.snapshotName,
      createdAt: timestampOf(record.createdAtMs),
      sandboxName: record.spec.sandboxId,
      containerName: source.containerName,
      base,
    };
    const { dir: folder, name: checkpointName } = checkpoint;
    const order = { folder, checkpointName, facts, ground, mostTarBytes, warnings: [] };
    const end = await writeInTime(deps, { order, deadlineMs: deadlineOf(record) }, call);
    if (end.kind === "published") return resultOf(end);
    throw new TakeFault(
      "StoreFailed",
      `A newer snapshot of the name "${facts.name}" stands in the store, written by another installation: it stays.`,
    );
  } catch (error) {
    throw faultOf(error);
  } finally {
    await checkpoint.remove();
  }
}

/** What a manifest says of the snapshot that it completes. */
export function resultOf(written: {
  readonly key: string;
  readonly manifest: Extract<MounterAnswer<"write">, { readonly kind: "published" }>["manifest"];
}): SnapshotResult {
  const { containerName, writeId, layers, base, warnings } = written.manifest;
  const bytes = layers.reduce((sum, layer) => sum + layer.bytes, 0);
  return { containerName, writeId, snapshotKey: written.key, bytes, base, warnings };
}

/** A store that does not answer is asked again as long as there is time; then its own words are the fault. */
async function writeInTime(
  { mounter, clock, random }: TakeDeps,
  { order, deadlineMs }: { readonly order: MounterAsk<"write">; readonly deadlineMs: number },
  call: TakeCall,
): Promise<MounterAnswer<"write">> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await mounter.write(order, call);
    } catch (error) {
      call.signal.throwIfAborted();
      const pauseMs = backoffMs(attempt, STORE_PAUSE, random);
      const mayPass = error instanceof MounterError && error.code === "unavailable";
      if (!mayPass || clock.now() + pauseMs + LAST_WORDS_MS > deadlineMs) throw error;
      call.log.warn("The snapshot was not stored, trying again", { error });
      await clock.sleep(pauseMs, call.signal);
    }
  }
}

function deadlineOf({ createdAtMs, spec }: SnapshotRecord): number {
  return createdAtMs + spec.timeoutSeconds * 1000;
}

/** One save at a time a sandbox: those of its other snapshots go first. */
async function save(
  deps: TakeDeps,
  { record, source }: { readonly record: SnapshotRecord; readonly source: SnapshotSource },
  call: TakeCall,
): Promise<Checkpoint> {
  const deadlineMs = deadlineOf(record);
  for (;;) {
    const timeoutMs = Math.max(deadlineMs - deps.clock.now(), 1);
    try {
      return await deps.machine.checkpoint(source.boot, source.containerName, { ...call, timeoutMs });
    } catch (error) {
      if (!(error instanceof CheckpointError) || error.fault !== "busy") throw faultOf(error);
      await deps.clock.sleep(BUSY_PAUSE_MS, call.signal);
    }
  }
}

const CHECKPOINT_REASONS: Readonly<Record<CheckpointFault, SnapshotReason>> = {
  "container-unknown": "ContainerNotFound",
  "container-ended": "ContainerEnded",
  "sandbox-lost": "SandboxLost",
  "disk-full": "DiskFull",
  timeout: "DeadlineExceeded",
  busy: "DumpFailed",
  failed: "DumpFailed",
};

function faultOf(error: unknown): unknown {
  if (error instanceof CheckpointError)
    return new TakeFault(CHECKPOINT_REASONS[error.fault], error.message, { cause: error });
  if (error instanceof MounterError && error.code !== "unsure")
    return new TakeFault(error.reason, error.message, { cause: error });
  return error;
}

/** The new layer holds only what has changed since: without exactly these below it would mean something else. */
function checkGround(ground: WriteGround, { tarDigests }: Checkpoint): void {
  const known = ground.kind === "raw" ? tarDigests.slice(0, 1) : ground.layers.map(({ tarDigest }) => tarDigest);
  const isSame = known.length === tarDigests.length && known.every((digest, index) => digest === tarDigests[index]);
  if (!isSame)
    throw new TakeFault("DumpFailed", "It is not known any more what the container was restored from: start it anew.");
}

/** RFC 3339 with whole seconds. */
function timestampOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");
}
