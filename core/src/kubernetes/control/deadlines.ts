import type { Clock } from "#core/clock.ts";

/** At most one moment for each key; says when it has come. */
export interface Deadlines {
  /** Replaces the key's moment; NaN is none. */
  set(key: string, atMs: number): void;
  clear(key: string): void;
  readonly size: number;
  /** Calls back for each key whose moment has come, until the signal fires. */
  run(signal: AbortSignal): Promise<void>;
}

interface Entry {
  readonly key: string;
  readonly atMs: number;
}

/** One timer for all keys: a heap by moment, in which replaced entries stay until they surface. */
export function createDeadlines(clock: Clock, onDue: (key: string) => void): Deadlines {
  const current = new Map<string, Entry>();
  let heap: Entry[] = [];
  let timer: AbortController | undefined;

  const isLive = (entry: Entry): boolean => current.get(entry.key) === entry;
  const next = (): Entry | undefined => {
    while (heap[0] !== undefined && !isLive(heap[0])) pop(heap);
    return heap[0];
  };
  const fire = (): void => {
    for (let entry = next(); entry !== undefined && entry.atMs <= clock.now(); entry = next()) {
      pop(heap);
      current.delete(entry.key);
      onDue(entry.key);
    }
  };

  return {
    set(key, atMs) {
      // No order holds for it, and in the heap it would keep all others from coming up.
      if (Number.isNaN(atMs)) return void current.delete(key);
      const known = current.get(key);
      if (known?.atMs === atMs) return;
      const entry = { key, atMs };
      current.set(key, entry);
      push(heap, entry);
      // Replaced entries that lie far ahead would pile up.
      if (heap.length > 64 && heap.length > 2 * current.size) {
        heap = [];
        for (const live of current.values()) push(heap, live);
      }
      if (next() === entry) timer?.abort(SOONER);
    },
    clear(key) {
      current.delete(key);
    },
    get size() {
      return current.size;
    },
    async run(signal) {
      const onAbort = (): void => timer?.abort(signal.reason);
      signal.addEventListener("abort", onAbort);
      try {
        while (!signal.aborted) {
          fire();
          timer = new AbortController();
          const waitMs = (next()?.atMs ?? Number.POSITIVE_INFINITY) - clock.now();
          await clock.sleep(Math.min(Math.max(0, waitMs), LONGEST_SLEEP_MS), timer.signal).catch(() => undefined);
        }
      } finally {
        timer = undefined;
        signal.removeEventListener("abort", onAbort);
      }
    },
  };
}

const SOONER = "a sooner moment was set";
/** The machine's clock may be set: moments are looked at again now and then. */
const LONGEST_SLEEP_MS = 10_000;

function push(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || parent.atMs <= entry.atMs) break;
    heap[at] = parent;
    at = above;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    const left = heap[below];
    const right = heap[below + 1];
    if (left === undefined) break;
    if (right !== undefined && right.atMs < left.atMs) below += 1;
    const child = heap[below];
    if (child === undefined || child.atMs >= last.atMs) break;
    heap[at] = child;
    at = below;
  }
  heap[at] = last;
}
