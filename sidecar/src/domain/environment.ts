import { encodeCStrings, type CStrings } from "./c-strings.ts";

interface Entry {
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** The entries `KEY=value` of a process's environment block; others are left out. Keys are read byte for byte. */
function entriesOf(block: Uint8Array): Entry[] {
  const entries: Entry[] = [];
  for (let start = 0; start < block.length;) {
    const zero = block.indexOf(0, start);
    const end = zero < 0 ? block.length : zero;
    const bytes = block.subarray(start, end);
    const equals = bytes.indexOf(0x3d);
    if (equals > 0) entries.push({ key: new TextDecoder("latin1").decode(bytes.subarray(0, equals)), bytes });
    start = end + 1;
  }
  return entries;
}

/** Value of a variable in an environment block, or undefined. */
export function readVariable(block: Uint8Array, key: string): string | undefined {
  const entry = entriesOf(block).find((candidate) => candidate.key === asLatin1(key));
  return (
    entry && new TextDecoder("utf-8", { ignoreBOM: true }).decode(entry.bytes.subarray(entry.bytes.indexOf(0x3d) + 1))
  );
}

/**
 * Environment of a command: the container's own, with `overrides` in place of its variables,
 * without those in `removed`. Values of the container keep their bytes.
 */
export function overlayEnvironment(
  block: Uint8Array,
  overrides: Readonly<Record<string, string>>,
  removed: readonly string[],
): CStrings {
  const utf8Keys = new Map(Object.entries(overrides).map(([key, value]) => [asLatin1(key), `${key}=${value}`]));
  const kept = entriesOf(block).filter(({ key }) => !utf8Keys.has(key) && !removed.includes(key));
  const added = encodeCStrings([...utf8Keys].filter(([key]) => !removed.includes(key)).map(([, entry]) => entry));
  const size = kept.reduce((sum, { bytes }) => sum + bytes.length + 1, added.length);
  const result = new Uint8Array(size);
  let at = 0;
  for (const { bytes } of kept) {
    result.set(bytes, at);
    at += bytes.length + 1;
  }
  result.set(added, at);
  return result;
}

/** The UTF-8 bytes of a text, one character a byte: comparable with keys read from a block. */
function asLatin1(text: string): string {
  return new TextDecoder("latin1").decode(new TextEncoder().encode(text));
}
