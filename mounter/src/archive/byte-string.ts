/**
 * Names in archives are bytes, not text: a sandbox chooses them. They are kept as byte strings, one
 * character of 0 to 255 for each byte, so that they compare, sort and serve as keys by their bytes.
 */

const SLICE_BYTES = 8192;
const MOST_SHOWN_CHARACTERS = 200;

export function byteString(bytes: Uint8Array): string {
  if (bytes.length <= SLICE_BYTES) return String.fromCharCode(...bytes);
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += SLICE_BYTES)
    parts.push(String.fromCharCode(...bytes.subarray(at, at + SLICE_BYTES)));
  return parts.join("");
}

/** Writes a byte string into bytes. */
export function putByteString(text: string, into: Uint8Array, offset: number): void {
  for (let index = 0; index < text.length; index++) into[offset + index] = text.charCodeAt(index);
}

/** Whether a byte string has only ASCII characters. */
export function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

/** A byte string for people: text where it is text, everything else escaped, cut when it is long. */
export function showBytes(text: string): string {
  const cut = text.length > MOST_SHOWN_CHARACTERS ? text.slice(0, MOST_SHOWN_CHARACTERS) : text;
  const shown = asText(cut).replace(/[\p{C}"\\]/gu, escaped);
  return cut === text ? shown : `${shown}...`;
}

/** The path of an entry as its container knows it: `./a/b` is `/a/b`. */
export function showPath(path: string): string {
  return showBytes(path.startsWith("./") ? path.slice(1) : path);
}

function asText(text: string): string {
  const bytes = new Uint8Array(text.length);
  putByteString(text, bytes, 0);
  const decoded = new TextDecoder().decode(bytes);
  // What is no text is shown byte by byte; also a character that the cut has split.
  return decoded.includes("\ufffd") ? text.replace(/[\x80-\xff]/g, escaped) : decoded;
}

function escaped(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  const code = character.codePointAt(0) ?? 0;
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}
