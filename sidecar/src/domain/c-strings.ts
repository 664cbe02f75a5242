/** Strings as the kernel takes them: bytes, each string closed by a zero. Bytes that are not UTF-8 pass through. */
export type CStrings = Uint8Array<ArrayBuffer>;

/** Joins text to C strings. The caller has refused zero characters. */
export function encodeCStrings(texts: readonly string[]): CStrings {
  return new TextEncoder().encode(texts.map((text) => `${text}\0`).join(""));
}

/** Where each string starts. */
export function startsOf(strings: CStrings): number[] {
  const starts: number[] = [];
  for (let start = 0; start < strings.length; start = strings.indexOf(0, start) + 1) starts.push(start);
  return starts;
}
