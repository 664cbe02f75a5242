import { systemClock } from "#core/clock.ts";
import { toHex } from "#core/hex.ts";
import { sha256 } from "#core/ids.ts";
import { DEFAULT_RETENTION_MS } from "#core/lifecycle.ts";
import type { CommandWorld } from "./agent/command-run.ts";
import { PROGRAMS } from "./process/programs.ts";

/** What the simulated world is like; every member has a default. */
export interface MemoryWorld extends CommandWorld {
  /** Whether an image can be pulled. Default: all but those of the host `missing.invalid`. */
  hasImage(reference: string): boolean;
  /** Time from creation to Running with an image, in milliseconds. Default 0, but an hour for the host `slow.invalid`. */
  startMs(reference: string): number;
  /** Digest of the image behind a reference. Default: the one in the reference, else one made from it. */
  imageDigest(reference: string): Promise<string>;
  /** Whether snapshots are taken and restored. Default: yes. */
  readonly takesSnapshots: boolean;
  /** Time to write a snapshot of so many bytes, in milliseconds. Default 0. */
  snapshotMs(bytes: number): number;
  /** How long an ended sandbox stays readable. */
  readonly retentionMs: number;
  /** Disk of each container. Default 256 MiB. */
  readonly diskBytes: number;
  /** Living sandboxes at once. Default 1000. */
  readonly maxSandboxes: number;
}

export function createMemoryWorld(overrides: Partial<MemoryWorld> = {}): MemoryWorld {
  return {
    clock: systemClock,
    programs: PROGRAMS,
    journalBytes: 8 << 20,
    hasImage: (reference) => !reference.startsWith("missing.invalid/"),
    startMs: (reference) => (reference.startsWith("slow.invalid/") ? 3_600_000 : 0),
    imageDigest: async (reference) =>
      /sha256:[0-9a-f]{64}$/.exec(reference)?.[0] ?? `sha256:${toHex(await sha256(reference))}`,
    takesSnapshots: true,
    snapshotMs: () => 0,
    retentionMs: DEFAULT_RETENTION_MS,
    diskBytes: 256 << 20,
    maxSandboxes: 1000,
    ...overrides,
  };
}
