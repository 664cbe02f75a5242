import * as z from "zod";
import type { Outcome } from "#core/lifecycle.ts";
import type { Sandbox, SandboxSpec } from "#core/sandbox.ts";
import type { Restored } from "./snapshot/restores.ts";

/** Version of the record's form; a record of another version is refused, never guessed at. */
export const RECORD_VERSION = 1;

/** What is known of one sandbox, kept in one file so that a restart of the gateway forgets nothing. */
export interface SandboxRecord {
  readonly version: typeof RECORD_VERSION;
  readonly id: string;
  readonly spec: SandboxSpec;
  readonly requestDigest: string;
  readonly createdAtMs: number;
  readonly startedAtMs?: number;
  readonly removeRequestedAtMs?: number;
  readonly ended?: Outcome;
  /** The boot it was given; from then on the boot belongs to this sandbox. */
  readonly bootId?: string;
  /** Exit codes of containers that ended. */
  readonly exits: Readonly<Record<string, number>>;
  /** What containers were restored from, by their names. */
  readonly restored?: Readonly<Record<string, Restored>>;
  /** Until when a snapshot at its end may hold it; kept from the first moment of its end. */
  readonly snapshotDeadlineAtMs?: number;
  /** True until the creator has its answer: an unanswered sandbox is removed at the next start. */
  readonly provisional: boolean;
}

/** Only what a torn or foreign file could break is checked; the rest was validated when it came in. */
const Envelope = z.looseObject({
  version: z.literal(RECORD_VERSION),
  id: z.string().min(1),
  requestDigest: z.string(),
  createdAtMs: z.number(),
  exits: z.record(z.string(), z.int()),
  provisional: z.boolean(),
  spec: z.looseObject({ containers: z.array(z.looseObject({ name: z.string(), image: z.string() })).min(1) }),
});

/** Throws when the text is not a record of this version. */
export function parseRecord(text: string): SandboxRecord {
  return Envelope.parse(JSON.parse(text)) as unknown as SandboxRecord;
}

/** The sandbox as the port shows it. */
export function sandboxOf(record: SandboxRecord, state: Pick<Sandbox, "phase" | "reason" | "message">): Sandbox {
  const warnings = Object.values(record.restored ?? {}).flatMap(({ warning }) => warning ?? []);
  const message = state.message ?? (warnings.length > 0 ? warnings.join(" ") : undefined);
  return {
    id: record.id,
    spec: record.spec,
    phase: state.phase,
    ...(state.reason === undefined ? {} : { reason: state.reason }),
    ...(message === undefined ? {} : { message }),
    createdAtMs: record.createdAtMs,
    ...(record.startedAtMs === undefined ? {} : { startedAtMs: record.startedAtMs }),
    ...(record.ended === undefined ? {} : { endedAtMs: record.ended.atMs }),
    requestDigest: record.requestDigest,
  };
}
