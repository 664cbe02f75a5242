import { mkdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import { planEviction, type Evictable } from "../../domain/eviction.ts";
import { createFlight, type Flight } from "../../domain/flight.ts";
import { SnapshotFault } from "../../domain/snapshot-fault.ts";
import { createSpareDisk, type DiskKeeper, type SpareDisk } from "../../domain/spare-disk.ts";

export interface MergedTarsConfig {
  /** Absolute, and for this alone: what lies there is removed at start. */
  readonly dir: string;
  /** Most bytes of all archives together. */
  readonly maxBytes: number;
  /** Most bytes of those that nobody holds at present. */
  readonly keptBytes: number;
  /** Free disk that they leave in any case. */
  readonly reserveBytes: number;
}

/** An archive that stays until it is released. */
export interface HeldTar {
  readonly path: string;
  readonly tarBytes: number;
  release(): void;
}

export interface MakeCall {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: TarProgress) => void;
}

export interface TarProgress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface TarRequest {
  readonly namespace: string;
  /** 64 hex digits that stand for what the archive holds. */
  readonly id: string;
  /** What it will take, at most. */
  readonly bytes: number;
  /** Puts the archive under this path, whole or not at all; answers its length. */
  readonly make: (path: string, call: MakeCall) => Promise<number>;
}

/** Archives ready to be restored, shared by all sandboxes of a namespace that start from the same snapshot. */
export interface MergedTars {
  readonly bytes: number;
  /** However many ask for one, it is made once; who leaves ends that for nobody else. Throws `full` when there is no room. */
  hold(
    request: TarRequest,
    call: { readonly signal: AbortSignal; readonly onProgress?: (progress: TarProgress) => void },
  ): Promise<HeldTar>;
}

interface Entry extends Evictable {
  readonly path: string;
  bytes: number;
  lastUsedAtMs: number;
  pins: number;
  /** False as long as it is being made: its bytes are only set aside. */
  isWhole: boolean;
}

/** `spare`: archives that nobody holds are given up for others, and others give up theirs for archives. */
export async function createMergedTars(
  config: MergedTarsConfig,
  clock: Clock,
  spare: SpareDisk = createSpareDisk(),
): Promise<MergedTars> {
  await rm(config.dir, { recursive: true, force: true });
  await mkdir(config.dir, { recursive: true, mode: 0o700 });
  const tars = new Tars(config, clock, spare);
  spare.add(tars);
  return tars;
}

class Tars implements MergedTars, DiskKeeper {
  readonly #config: MergedTarsConfig;
  readonly #clock: Clock;
  readonly #spare: SpareDisk;
  readonly #entries = new Map<string, Entry>();
  readonly #flights = new Map<string, Flight<Entry, TarProgress>>();
  /** Files on their way out: one of the same name is made only after them. */
  readonly #removals = new Map<string, Promise<void>>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(config: MergedTarsConfig, clock: Clock, spare: SpareDisk) {
    this.#config = config;
    this.#clock = clock;
    this.#spare = spare;
  }

  get bytes(): number {
    return [...this.#entries.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async hold(request: TarRequest, call: Parameters<MergedTars["hold"]>[1]): Promise<HeldTar> {
    const name = `${request.namespace}/${request.id}`;
    for (;;) {
      call.signal.throwIfAborted();
      const known = this.#entries.get(name);
      if (known?.isWhole === true) return this.#held(known);
      const flight = this.#flights.get(name);
      if (flight !== undefined && !flight.isLive) {
        await flight.ended;
        if (this.#flights.get(name) === flight) this.#flights.delete(name);
        continue;
      }
      const made = await (flight ?? this.#begin(name, request)).join(call.signal, call.onProgress);
      // Nobody evicts it before this: both happen in one turn.
      if (this.#entries.get(name) === made) return this.#held(made);
    }
  }

  #begin(name: string, request: TarRequest): Flight<Entry, TarProgress> {
    const flight = createFlight<Entry, TarProgress>((signal, onProgress) =>
      this.#make(name, request, { signal, onProgress }),
    );
    this.#flights.set(name, flight);
    void flight.ended.then(() => this.#flights.get(name) === flight && this.#flights.delete(name));
    return flight;
  }

  async #make(name: string, { namespace, id, bytes, make }: TarRequest, call: MakeCall): Promise<Entry> {
    const folder = join(this.#config.dir, namespace);
    const path = join(folder, `${id}.tar`);
    const entry: Entry = { path, bytes, lastUsedAtMs: this.#clock.now(), pins: 1, isPartial: false, isWhole: false };
    await this.#book(name, entry);
    try {
      await this.#removals.get(path);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      entry.bytes = await make(path, call);
      entry.isWhole = true;
      return entry;
    } catch (error) {
      this.#entries.delete(name);
      await rm(path, { force: true });
      throw error;
    } finally {
      entry.pins -= 1;
    }
  }

  /** One after the other: two do not count on the same room. */
  #book(name: string, entry: Entry): Promise<void> {
    const booked = this.#turn.then(async () => {
      await this.#makeRoom(entry.bytes);
      this.#entries.set(name, entry);
    });
    this.#turn = booked.catch(() => undefined);
    return booked;
  }

  get spareBytes(): number {
    return [...this.#entries.values()].reduce((sum, { bytes, pins }) => (pins === 0 ? sum + bytes : sum), 0);
  }

  async giveUp(bytes: number): Promise<void> {
    await this.#evict(bytes);
  }

  /** Those that nobody holds go, then what others keep there. */
  async #makeRoom(bytes: number): Promise<void> {
    const missingDisk = async (): Promise<number> => {
      const { bavail, bsize } = await statfs(this.#config.dir);
      return bytes + this.#config.reserveBytes - bavail * bsize;
    };
    const evict = async (): Promise<boolean> =>
      this.#evict(Math.max(this.bytes + bytes - this.#config.maxBytes, await missingDisk()));
    if (await evict()) return;
    await this.#spare.free(await missingDisk());
    if (await evict()) return;
    throw new SnapshotFault("full", `There is no room on this node for ${bytes} more bytes to restore from.`);
  }

  /** The longest unused first; false = nothing was removed, as all would not do. */
  async #evict(bytes: number): Promise<boolean> {
    const plan = planEviction(this.#entries.values(), bytes);
    await Promise.all((plan ?? []).map((entry) => this.#remove(entry)));
    return plan !== undefined;
  }

  /** What nobody holds stays only up to its own bound. */
  #shrink(): void {
    const unused = [...this.#entries.values()].filter(({ pins }) => pins === 0);
    const bytes = unused.reduce((sum, entry) => sum + entry.bytes, 0);
    for (const entry of planEviction(unused, bytes - this.#config.keptBytes) ?? []) void this.#remove(entry);
  }

  async #remove(entry: Entry): Promise<void> {
    for (const [name, known] of this.#entries) if (known === entry) this.#entries.delete(name);
    const removal = rm(entry.path, { force: true });
    this.#removals.set(entry.path, removal);
    try {
      await removal;
    } finally {
      if (this.#removals.get(entry.path) === removal) this.#removals.delete(entry.path);
    }
  }

  #held(entry: Entry): HeldTar {
    entry.pins += 1;
    entry.lastUsedAtMs = this.#clock.now();
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      entry.pins -= 1;
      entry.lastUsedAtMs = this.#clock.now();
      this.#shrink();
    };
    return { path: entry.path, tarBytes: entry.bytes, release };
  }
}
