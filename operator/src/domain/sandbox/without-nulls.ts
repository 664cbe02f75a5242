/** Maps of text, in which a null stands for a text: an empty one. */
const TEXT_MAPS = new Set(["nodeSelector", "matchLabels"]);

/** A template without the members in which somebody wrote nothing: Kubernetes takes them for absent. */
export function withoutNulls<T>(template: T): T {
  return strip(template) as T;
}

function strip(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strip);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, TEXT_MAPS.has(name) ? member : strip(member)]));
}
