import * as z from "zod";
import type { SnapshotProgress } from "#api/snapshot.ts";
import {
  expiryOf,
  type SnapshotDecision,
  type SnapshotFacts,
  type SnapshotOutcome,
} from "#core/snapshot/decide-snapshot.ts";
import type { Snapshot, SnapshotResult, SnapshotSpec } from "#core/snapshot/snapshot.ts";

/** Version of the record's form; a record of another version is refused, never guessed at. */
const RECORD_VERSION = 1;

/** What is known of one snapshot that is or was taken, kept in one file so that a restart of the gateway forgets nothing. */
export interface SnapshotRecord {
  readonly version: typeof RECORD_VERSION;
  readonly id: string;
  readonly spec: SnapshotSpec;
  readonly requestDigest: string;
  readonly createdAtMs: number;
  /** Marks what this record writes to the store; never the same twice. */
  readonly writeId: string;
  readonly startedAtMs?: number;
  /** The container that was chosen, from then on. */
  readonly containerName?: string;
  /** From before the manifest is sent until it is known how that ended: the last moment of the sending. */
  readonly publishUntilMs?: number;
  readonly result?: SnapshotResult;
  readonly outcome?: SnapshotOutcome;
  /** From the moment on at which it is to go with all that it wrote. */
  readonly removeRequestedAtMs?: number;
}

export type NewSnapshotRecord = Omit<SnapshotRecord, "version">;

export function newSnapshotRecord(record: NewSnapshotRecord): SnapshotRecord {
  return { version: RECORD_VERSION, ...record };
}

/** Only what a torn or foreign file could break is checked; the rest was validated when it came in. */
const Envelope = z.looseObject({
  version: z.literal(RECORD_VERSION),
  id: z.string().min(1),
  requestDigest: z.string(),
  createdAtMs: z.number(),
  writeId: z.string().min(1),
  spec: z.looseObject({
    sandboxId: z.string(),
    snapshotName: z.string(),
    timeoutSeconds: z.number(),
    ttlSecondsAfterFinished: z.number(),
  }),
  outcome: z.looseObject({ phase: z.enum(["Succeeded", "Failed"]), atMs: z.number() }).exactOptional(),
});

/** Throws when the text is not a record of this version. */
export function parseSnapshotRecord(text: string): SnapshotRecord {
  return Envelope.parse(JSON.parse(text));
}

/** What decides of a record, with what only the process at work knows. */
export function factsOf(
  { spec, createdAtMs, startedAtMs, outcome, result, publishUntilMs }: SnapshotRecord,
  known: Pick<SnapshotFacts, "failure" | "behind" | "progress">,
): SnapshotFacts {
  return {
    spec,
    createdAtMs,
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(outcome === undefined ? {} : { outcome }),
    ...known,
    isWritten: result !== undefined,
    isPublishing: publishUntilMs !== undefined,
  };
}

/** The record as the port shows it. */
export function snapshotOf(
  record: SnapshotRecord,
  { phase, reason, message }: SnapshotDecision,
  progress: SnapshotProgress | undefined,
): Snapshot {
  const { id, spec, requestDigest, createdAtMs, startedAtMs, containerName, outcome, result } = record;
  return {
    id,
    spec: containerName === undefined ? spec : { ...spec, containerName },
    phase,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    createdAtMs,
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(outcome === undefined ? {} : { completedAtMs: outcome.atMs, expiresAtMs: expiryOf(spec, outcome.atMs) }),
    ...(progress === undefined ? {} : { progress }),
    ...(result === undefined ? {} : { result }),
    requestDigest,
  };
}
