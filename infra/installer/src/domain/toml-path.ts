/** What lies under these keys of parsed TOML; undefined when it ends before. */
export function at(value: unknown, path: readonly string[]): unknown {
  let here = value;
  for (const key of path) {
    if (!isTable(here) || !Object.hasOwn(here, key)) return undefined;
    here = here[key];
  }
  return here;
}

export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Whether two parsed values say the same. */
export function isSame(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, part: unknown) => {
      if (typeof part === "bigint") return `${part}n`;
      if (!isTable(part)) return part;
      return Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    }) ?? "undefined"
  );
}

/** Without tables that hold nothing: a section makes its parents. */
export function prune(value: unknown): unknown {
  if (!isTable(value)) return value;
  const kept = Object.entries(value)
    .map(([key, part]) => [key, prune(part)] as const)
    .filter(([, part]) => !isTable(part) || Object.keys(part).length > 0);
  return Object.fromEntries(kept);
}

/** Where two parsed values first differ, with both values; undefined = nowhere. */
export function differenceOf(before: unknown, after: unknown, path: readonly string[] = []): string | undefined {
  if (isSame(before, after)) return undefined;
  if (isTable(before) && isTable(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const found = differenceOf(before[key], after[key], [...path, key]);
      if (found !== undefined) return found;
    }
  }
  const text = (value: unknown): string => (canonical(value) ?? "").slice(0, 80);
  return `${path.map((key) => (/^[\w-]+$/.test(key) ? key : `"${key}"`)).join(".")} from ${text(before)} to ${text(after)}`;
}
