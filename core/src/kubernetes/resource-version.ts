const DECIMAL = /^(0|[1-9]\d*)$/;

/**
 * Order of two versions of objects of one kind: negative, zero or positive; undefined when one is
 * not a decimal number. Kubernetes promises since 1.35 that versions compare as numbers of any
 * size, and its conformance tests hold clusters to it. Older API servers keep the same promise
 * unsaid, as etcd's revisions are such numbers. Where a store numbers otherwise nothing is
 * guessed: callers then trust the order of the stream alone.
 */
export function compareResourceVersions(a: string | undefined, b: string | undefined): number | undefined {
  if (a === undefined || b === undefined || !DECIMAL.test(a) || !DECIMAL.test(b)) return undefined;
  if (a.length !== b.length) return a.length - b.length;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Whether `a` is certainly newer than `b`; anything is newer than nothing. */
export function isNewerVersion(a: string | undefined, b: string | undefined): boolean {
  if (b === undefined) return true;
  const order = compareResourceVersions(a, b);
  return order !== undefined && order > 0;
}
