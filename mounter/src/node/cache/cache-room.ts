import { statfs } from "node:fs/promises";
import type { SpareDisk } from "../../domain/spare-disk.ts";
import type { CacheIndex } from "./cache-index.ts";

export interface RoomConfig {
  readonly dir: string;
  readonly maxBytes: number;
  readonly reserveBytes: number;
}

/** Room for one download. */
export interface Booking {
  /** How much of it is not on the disk yet. */
  leftBytes: number;
  end(): void;
}

/** Who may write into the cache: bound and reserve hold for what is there and what is promised. */
export interface CacheRoom {
  readonly promisedBytes: number;
  /** Books room, for which what is longest unused may go; undefined when there is none. */
  book(bytes: number, alreadyBytes: number): Promise<Booking | undefined>;
  /** Removes what is too much, as far as nobody holds it. */
  shrink(): Promise<void>;
}

export function createCacheRoom(
  index: CacheIndex,
  { dir, maxBytes, reserveBytes }: RoomConfig,
  spare: SpareDisk,
): CacheRoom {
  const bookings = new Map<Booking, number>();
  let turn: Promise<unknown> = Promise.resolve();

  const promised = (): number => [...bookings.values()].reduce((sum, bytes) => sum + bytes, 0);
  const left = (): number => [...bookings.keys()].reduce((sum, { leftBytes }) => sum + leftBytes, 0);
  const missingDisk = async (leftBytes: number): Promise<number> => {
    const { bavail, bsize } = await statfs(dir);
    return left() + leftBytes + reserveBytes - bavail * bsize;
  };
  const missingBytes = async (bytes: number, leftBytes: number): Promise<number> =>
    Math.max(index.bytes + promised() + bytes - maxBytes, await missingDisk(leftBytes));
  const makeRoom = async (bytes: number, leftBytes: number): Promise<boolean> => {
    if (await index.evict(await missingBytes(bytes, leftBytes))) return true;
    await spare.free(await missingDisk(leftBytes));
    return index.evict(await missingBytes(bytes, leftBytes));
  };
  /** One after the other: two do not count on the same room. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = turn.then(work);
    turn = next.catch(() => undefined);
    return next;
  };
  return {
    get promisedBytes() {
      return promised();
    },
    book: (bytes, alreadyBytes) =>
      inTurn(async () => {
        const leftBytes = Math.max(0, bytes - alreadyBytes);
        if (!(await makeRoom(bytes, leftBytes))) return undefined;
        const booking: Booking = { leftBytes, end: () => void bookings.delete(booking) };
        bookings.set(booking, bytes);
        return booking;
      }),
    shrink: () =>
      inTurn(async () => {
        const missing = await missingBytes(0, 0);
        const isEnough = await index.evict(missing);
        const rest = index.entries().filter(({ pins }) => pins === 0);
        if (!isEnough) await Promise.all(rest.map((entry) => index.remove(entry)));
      }),
  };
}
