/**
 * Keys that need a worker. A key is at most once in line and never with two workers: what is added
 * while a worker has it stands in line again when that worker is done. First come, first served.
 */
export interface Workqueue {
  add(key: string): void;
  /** The next key; waits for one. Undefined = the queue is shut and empty. */
  take(): Promise<string | undefined>;
  /** The worker that took the key is done with it. */
  done(key: string): void;
  /** Takes no new keys but those in line and those that workers have; `take` empties the line, then ends. */
  shut(): void;
  /** Keys in line. */
  readonly depth: number;
  /** Keys with workers. */
  readonly active: number;
}

export interface WorkqueueOptions {
  /** Monotonic or wall time: only differences count. */
  readonly now?: () => number;
  /** How long a key stood in line. */
  readonly waited?: (waitMs: number) => void;
}

export function createWorkqueue({ now = () => 0, waited = () => undefined }: WorkqueueOptions = {}): Workqueue {
  /** In line, each with the moment it came; insertion order is the line's. */
  const dirty = new Map<string, number>();
  const processing = new Set<string>();
  /** Added while a worker has it. */
  const again = new Map<string, number>();
  let waiting: ((key: string | undefined) => void)[] = [];
  let isShut = false;

  const claim = (key: string, sinceMs: number): string => {
    processing.add(key);
    waited(now() - sinceMs);
    return key;
  };
  const enqueue = (key: string, sinceMs: number): void => {
    const worker = waiting.shift();
    if (worker === undefined) dirty.set(key, sinceMs);
    else worker(claim(key, sinceMs));
  };

  return {
    add(key) {
      if (isShut || dirty.has(key) || again.has(key)) return;
      if (processing.has(key)) again.set(key, now());
      else enqueue(key, now());
    },
    take() {
      const first = dirty.entries().next().value;
      if (first !== undefined) {
        dirty.delete(first[0]);
        return Promise.resolve(claim(...first));
      }
      if (isShut && again.size === 0) return Promise.resolve(undefined);
      return new Promise((resolve) => waiting.push(resolve));
    },
    done(key) {
      processing.delete(key);
      const sinceMs = again.get(key);
      if (sinceMs !== undefined) {
        again.delete(key);
        enqueue(key, sinceMs);
      }
      if (isShut && dirty.size === 0 && again.size === 0) release();
    },
    shut() {
      isShut = true;
      if (dirty.size === 0 && again.size === 0) release();
    },
    get depth() {
      return dirty.size + again.size;
    },
    get active() {
      return processing.size;
    },
  };

  function release(): void {
    const left = waiting;
    waiting = [];
    for (const end of left) end(undefined);
  }
}
