export interface BucketOptions {
  /** Actions at once. */
  readonly burst: number;
  /** Time after which one more is allowed. */
  readonly refillMs: number;
  /** Keys remembered; beyond it the one longest unused is forgotten, and starts afresh. */
  readonly mostKeys: number;
}

/** How often something may happen for each key. */
export interface TokenBuckets {
  /** True = it may, and counts. */
  take(key: string, nowMs: number): boolean;
}

export function createTokenBuckets({ burst, refillMs, mostKeys }: BucketOptions): TokenBuckets {
  /** Insertion order is that of the last use. */
  const buckets = new Map<string, { readonly tokens: number; readonly atMs: number }>();
  return {
    take(key, nowMs) {
      const known = buckets.get(key) ?? { tokens: burst, atMs: nowMs };
      const tokens = Math.min(burst, known.tokens + Math.max(0, nowMs - known.atMs) / refillMs);
      const isAllowed = tokens >= 1;
      buckets.delete(key);
      buckets.set(key, { tokens: isAllowed ? tokens - 1 : tokens, atMs: nowMs });
      if (buckets.size > mostKeys) buckets.delete(buckets.keys().next().value ?? "");
      return isAllowed;
    },
  };
}
