import type { MounterAnswer, MounterAsk, WriteGround } from "#api/mounter-channel.ts";
import type { SnapshotWarning } from "#api/snapshot-manifest.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";
import type { Clock } from "#core/clock.ts";
import type { SnapshotReason, SnapshotResult } from "#core/snapshot/snapshot.ts";
import { untilStored } from "#core/snapshot/until-stored.ts";
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
  readonly machine: Pick<Machine, "checkpoint" | "losses">;
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
  /** Told of an attempt to store it that failed; answers what stands all the same, when that was not known. */
  settle(fault: MounterError): Promise<SnapshotResult | undefined>;
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
/** Longest that a snapshot waits to be told what it lacks, and of the time it has left. */
const LOSSES = { mostMs: 30_000, share: 0.25 };

/** Saves the container, and brings what it has changed into the store. Throws TakeFault, or the signal's reason. */
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
    const { clock, random } = deps;
    const warnings = [...(await lossesOf(deps, { record, source }, call.signal))];
    const order = { folder, checkpointName, facts, ground, mostTarBytes, warnings };
    return await untilStored((onProgress) => writeOnce(deps, order, { ...call, onProgress }), {
      clock,
      random,
      log: call.log,
      deadlineMs: deadlineOf(record),
      signal: call.signal,
      faultOf: (error) => (error instanceof MounterError ? error : undefined),
      onProgress: (progress) => call.onProgress(progress),
    });
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
  // What lies below was written before.
  const bytes = layers.at(-1)?.bytes ?? 0;
  return { containerName, writeId, snapshotKey: written.key, bytes, base, warnings };
}

/** One attempt; when it throws, this write does not stand and never will by this attempt. */
async function writeOnce(
  { mounter }: Pick<TakeDeps, "mounter">,
  order: MounterAsk<"write">,
  call: TakeCall,
): Promise<SnapshotResult> {
  try {
    const end = await mounter.write(order, call);
    if (end.kind === "published") return resultOf(end);
  } catch (error) {
    call.signal.throwIfAborted();
    if (!(error instanceof MounterError)) throw error;
    const found = await call.settle(error);
    if (found === undefined) throw error;
    return found;
  }
  throw new TakeFault(
    "StoreFailed",
    `A newer snapshot of the name "${order.facts.name}" stands in the store, written by another installation: it stays.`,
  );
}

/** As the container is now, shortly after the save: a hint, for which nothing fails. */
function lossesOf(
  { machine, clock }: TakeDeps,
  { record, source }: { readonly record: SnapshotRecord; readonly source: SnapshotSource },
  signal: AbortSignal,
): Promise<readonly SnapshotWarning[]> {
  const leftMs = (deadlineOf(record) - clock.now()) * LOSSES.share;
  const timeoutMs = Math.max(1, Math.min(LOSSES.mostMs, leftMs));
  return machine.losses(source.boot, source.containerName, { timeoutMs, signal });
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
  if (error instanceof MounterError) return new TakeFault(error.reason, messageOf(error), { cause: error });
  return error;
}

/** By now it is known: it does not stand. */
function messageOf({ code, message }: MounterError): string {
  return code === "unsure" ? "The store did not say that it took the snapshot, and does not have it." : message;
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
