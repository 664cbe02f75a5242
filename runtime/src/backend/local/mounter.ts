import type { MounterAnswer, MounterAsk, MounterFault } from "#api/mounter-channel.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";
import type { Call } from "#runtime/backend/port.ts";

/** What the mounter could not do; `reason` and the message are what a record says. */
export class MounterError extends Error implements MounterFault {
  readonly code: MounterFault["code"];
  readonly reason: MounterFault["reason"];

  constructor({ code, reason, message }: MounterFault, options?: ErrorOptions) {
    super(message, options);
    this.name = "MounterError";
    this.code = code;
    this.reason = reason;
  }
}

export interface WriteCall extends Call {
  onProgress(progress: SnapshotProgress): void;
  /** Asked when all but the manifest is in the store; answers until when that may be sent. What it throws ends the write. */
  beforePublish(): Promise<number>;
}

/** A layer's archive on this machine until it is released. */
export interface HeldArchive {
  readonly path: string;
  readonly tarDigest: string;
  readonly tarBytes: number;
  /** Until this resolves it is still being written. Rejects with MounterError: `unavailable` when it is worth asking again. */
  readonly whole: Promise<void>;
  release(): void;
}

/**
 * The store of snapshots, by a program of its own. Throws MounterError, or the signal's reason. What was
 * cut because that program ended is done again: repeating any of it is safe.
 */
export interface Mounter {
  /** What a name means now. */
  find(place: MounterAsk<"find">, call: Call): Promise<MounterAnswer<"find">>;
  write(order: MounterAsk<"write">, call: WriteCall): Promise<MounterAnswer<"write">>;
  hold(wanted: MounterAsk<"hold">, call: Call): Promise<HeldArchive>;
  remove(what: MounterAsk<"remove">, call: Call): Promise<void>;
  collect(what: MounterAsk<"collect">, call: Call): Promise<MounterAnswer<"collect">>;
  close(): Promise<void>;
}
