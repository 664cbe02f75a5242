import { statfs } from "node:fs/promises";
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

export function createCacheRoom(index: CacheIndex, { dir, maxBytes, reserveBytes }: RoomConfig): CacheRoom {
  const bookings = new Map<Booking, number>();
  let turn: Promise<unknown> = Promise.resolve();

  const promised = (): number => [...bookings.values()].reduce((sum, bytes) => sum + bytes, 0);
  const left = (): number => [...bookings.keys()].reduce((sum, { leftBytes }) => sum + leftBytes, 0);
  const missingBytes = async (bytes: number, leftBytes: number): Promise<number> => {
    const { bavail, bsize } = await statfs(dir);
    const overDisk = left() + leftBytes + reserveBytes - bavail * bsize;
    return Math.max(index.bytes + promised() + bytes - maxBytes, overDisk);
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
        if (!(await index.evict(await missingBytes(bytes, leftBytes)))) return undefined;
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
