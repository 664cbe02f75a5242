/** A layer on this node's disk. */
export interface Evictable {
  readonly bytes: number;
  readonly lastUsedAtMs: number;
  /** What an interrupted download left. */
  readonly isPartial: boolean;
  /** How many need it now. */
  readonly pins: number;
}

/**
 * What to remove so that so many bytes become free, of what is needed by nobody: parts first, then what
 * was used longest ago. Undefined when all of that would not be enough: then nothing is gained by removing any.
 */
export function planEviction<E extends Evictable>(entries: Iterable<E>, neededBytes: number): readonly E[] | undefined {
  const planned: E[] = [];
  let missing = neededBytes;
  const free = [...entries].filter(({ pins }) => pins === 0);
  const inOrder = (a: E, b: E): number => Number(b.isPartial) - Number(a.isPartial) || a.lastUsedAtMs - b.lastUsedAtMs;
  for (const entry of free.sort(inOrder)) {
    if (missing <= 0) break;
    planned.push(entry);
    missing -= entry.bytes;
  }
  return missing > 0 ? undefined : planned;
}

export interface NamespaceUsage {
  readonly layers: number;
  readonly bytes: number;
  readonly pinnedBytes: number;
}

/** What each namespace takes of the one bound. */
export function usageOf(
  entries: Iterable<Evictable & { readonly namespace: string }>,
): ReadonlyMap<string, NamespaceUsage> {
  const usage = new Map<string, NamespaceUsage>();
  for (const { namespace, bytes, pins } of entries) {
    const so = usage.get(namespace) ?? { layers: 0, bytes: 0, pinnedBytes: 0 };
    const pinnedBytes = so.pinnedBytes + (pins > 0 ? bytes : 0);
    usage.set(namespace, { layers: so.layers + 1, bytes: so.bytes + bytes, pinnedBytes });
  }
  return usage;
}
