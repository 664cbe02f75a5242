/** What decides of a JSON text's structure: strings and brackets; a colon makes a name of the string before it. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/g;

/**
 * A member's name that stands twice in one object of a valid JSON text: parsers differ in which of
 * the two they take, so nobody knows what was meant. Undefined when there is none.
 */
export function repeatedMember(json: string): string | undefined {
  /** Names seen so far of each object that is open; a list has none. */
  const open: Set<string>[] = [];
  let last = "";
  for (const [token] of json.matchAll(TOKENS)) {
    if (token === ":") {
      const name = String(JSON.parse(last));
      if (open.at(-1)?.has(name)) return name;
      open.at(-1)?.add(name);
    } else if (token === "{" || token === "[") open.push(new Set());
    else if (token === "}" || token === "]") open.pop();
    else last = token;
  }
  return undefined;
}
