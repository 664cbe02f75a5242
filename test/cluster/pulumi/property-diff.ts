/** `live` cut to the shape of `inputs`, as the Kubernetes provider does before it looks for changes. */
export function prune(live: unknown, inputs: unknown): unknown {
  if (Array.isArray(live) && Array.isArray(inputs)) {
    return inputs.slice(0, live.length).map((input, at) => prune(live[at], input));
  }
  if (!isMap(live) || !isMap(inputs)) return live;
  return Object.fromEntries(
    Object.entries(live)
      .filter(([key]) => key in inputs)
      .map(([key, value]) => [key, prune(value, inputs[key])]),
  );
}

/** Paths at which two values differ. */
export function differences(before: unknown, after: unknown, path = ""): string[] {
  if (isMap(before) && isMap(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...keys].flatMap((key) => differences(before[key], after[key], path === "" ? key : `${path}.${key}`));
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return before.flatMap((item, at) => differences(item, after[at], `${path}[${at}]`));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [path];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
