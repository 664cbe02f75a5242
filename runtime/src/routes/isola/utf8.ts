export const LF = 0x0a;
export const CR = 0x0d;

/**
 * Length of the UTF-8 character that starts at `at`: 1 to 4, 0 for an invalid byte, or -1 when
 * the bytes up to `end` are the valid beginning of a longer one. Ranges: RFC 3629, table 3-7
 * of the Unicode standard (no surrogates, no overlong forms, nothing above U+10FFFF).
 */
export function characterLength(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (let i = 1; i < length; i += 1) {
    if (at + i >= end) return -1;
    const low = i > 1 ? 0x80 : first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const high = i > 1 ? 0xbf : first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    const byte = bytes[at + i] ?? 0;
    if (byte < low || byte > high) return 0;
  }
  return length;
}

/**
 * Where an incomplete tail begins in the bytes before `end`: a character that more bytes may
 * complete, or a CR that an LF may follow. `end` when there is none. At most three bytes.
 */
export function incompleteTail(bytes: Uint8Array, start: number, end: number): number {
  if (end > start && bytes[end - 1] === CR) return end - 1;
  for (let at = end - 1; at >= start && at >= end - 3; at -= 1) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x80) return end;
    if (byte >= 0xc0) return characterLength(bytes, at, end) === -1 ? at : end;
  }
  return end;
}
