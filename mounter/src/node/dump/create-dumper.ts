import { readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import type { SnapshotWarning } from "#api/snapshot-manifest.ts";
import type { Clock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";
import type { Dump, SnapshotWork } from "../../control/snapshot-work.ts";
import { createKeyedTurns } from "../../domain/keyed-turns.ts";
import { dumpFault } from "../../domain/record/dump-fault.ts";
import type { RecordTarget } from "../../domain/record/record-pod.ts";
import { RecordFault } from "../../domain/record-fault.ts";
import { untilAborted } from "../../storage/until-aborted.ts";
import type { Staging, StagingPlace } from "../staging.ts";
import { RunscFault, type CheckpointCommand } from "./run-checkpoint.ts";

export interface DumperPorts {
  readonly checkpoint: (command: CheckpointCommand) => Promise<void>;
  /** What a dump lacks of the container; never rejects. */
  readonly losses: (target: RecordTarget, signal: AbortSignal) => Promise<readonly SnapshotWarning[]>;
  readonly staging: Pick<Staging, "take" | "roomBytes" | "hasRoom">;
  readonly clock: Clock;
  readonly log: Log;
}

export interface DumperConfig {
  /** Most bytes of one dump. */
  readonly mostBytes: number;
  /** Room for a container without a limit of disk: nobody knows beforehand how much it takes. */
  readonly unlimitedBytes: number;
}

/** Folders, names and lists of pages, beside the pages themselves. */
const METADATA_BYTES = 64 * 2 ** 20;
const LOOK_MS = 250;
/** A save that takes longer counts as hung: its client is ended. */
const HUNG_MS = 600_000;

/** Saves containers of this node into staging, one at a time of each sandbox. */
export function createDumper(ports: DumperPorts, { mostBytes, unlimitedBytes }: DumperConfig): SnapshotWork["dump"] {
  const { staging, losses, log } = ports;
  const turns = createKeyedTurns();

  return async (target, { signal, onProgress }) => {
    const giveTurn = await turns.take(target.podUid, signal);
    let place: StagingPlace;
    let room: DumpRoom;
    try {
      const wantedBytes = Math.min((target.diskBytes ?? unlimitedBytes) + METADATA_BYTES, mostBytes);
      // Most take far less: where the disk is small, nobody gets all of it at once, nor is anything given up for
      // it, and who needs more may find it.
      const bytes = Math.max(METADATA_BYTES, Math.min(wantedBytes, Math.floor((await staging.roomBytes()) / 2)));
      place = await staging.take(bytes, { signal });
      room = { folder: join(place.dir, "image"), promisedBytes: bytes, mostBytes: wantedBytes };
    } catch (error) {
      giveTurn();
      throw error;
    }
    const remove = (): Promise<void> =>
      place.remove().catch((error: unknown) => log.error("A dump could not be removed", { folder: place.dir, error }));
    const save = new Save(ports, target, room);
    const tell = (bytesDone: number): void => onProgress?.({ phase: "Dumping", bytesDone });
    const saved = save.run(join(place.dir, "runsc.log"), tell).finally(giveTurn);
    try {
      await untilAborted(saved, signal);
      // Looked for while the dump is packed: the container goes on as it is.
      return { folder: room.folder, warnings: losses(target, signal), remove } satisfies Dump;
    } catch (error) {
      // The kernel saves on: its files can go only when it has done with them.
      save.abandon();
      const removal = saved.catch(() => undefined).then(remove);
      if (!signal.aborted) await removal;
      throw error;
    }
  };
}

interface DumpRoom {
  readonly folder: string;
  readonly promisedBytes: number;
  /** Up to here it may grow as long as the disk has room. */
  readonly mostBytes: number;
}

class Save {
  readonly #ports: DumperPorts;
  readonly #target: RecordTarget;
  readonly #room: DumpRoom;
  /** Why it is in vain: what is written is thrown away at once. */
  #vain: "left" | "too-large" | "disk-full" | undefined;

  constructor(ports: DumperPorts, target: RecordTarget, room: DumpRoom) {
    this.#ports = ports;
    this.#target = target;
    this.#room = room;
  }

  abandon(): void {
    this.#vain ??= "left";
  }

  async run(logPath: string, tell: (bytes: number) => void): Promise<void> {
    const { checkpoint } = this.#ports;
    const { containerId, containerName } = this.#target;
    const over = new AbortController();
    const watching = this.#watch(over.signal, tell);
    try {
      await checkpoint({ containerId, containerName, folder: this.#room.folder, logPath, timeoutMs: HUNG_MS });
    } catch (error) {
      if (this.#vain === undefined)
        throw error instanceof RunscFault ? dumpFault(error.said, containerName, error) : error;
    } finally {
      over.abort(IS_OVER);
      await watching;
    }
    if ((await bytesIn(this.#room.folder)) > this.#room.mostBytes) this.#vain ??= "too-large";
    if (this.#vain === undefined) return;
    if (this.#vain === "disk-full")
      throw new RecordFault("DiskFull", "The node's disk has too little room to save the container.");
    const most = `more than the ${this.#room.mostBytes} bytes that a dump of it may take here`;
    throw new RecordFault("TooLarge", `The changes of the container "${containerName}" are ${most}.`);
  }

  /** gVisor asks nobody how large it may become: a dump without end is cut off again and again, so that it takes no disk. */
  async #watch(signal: AbortSignal, tell: (bytes: number) => void): Promise<void> {
    const { clock, log } = this.#ports;
    tell(0);
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const bytes = await bytesIn(this.#room.folder);
        if (this.#vain === undefined) tell(bytes);
        if (bytes > this.#room.mostBytes) this.#vain ??= "too-large";
        else if (bytes > this.#room.promisedBytes && !(await this.#hasMore())) this.#vain ??= "disk-full";
        if (this.#vain !== undefined) await cutFiles(this.#room.folder);
      } catch (error) {
        log.warn("A dump cannot be looked at", { folder: this.#room.folder, error });
      }
    }
  }

  /** Whether the disk bears more than was promised, for as long as the next look takes. */
  #hasMore(): Promise<boolean> {
    return this.#ports.staging.hasRoom(METADATA_BYTES, this.#room.promisedBytes);
  }
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function cutFiles(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) await truncate(join(folder, name), 0);
}

const IS_OVER = new Error("The save is over");
