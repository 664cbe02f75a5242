/**
 * Names in archives are bytes, not text: a sandbox chooses them. They are kept as byte strings, one
 * character of 0 to 255 for each byte, so that they compare, sort and serve as keys by their bytes.
 */

export { showBytes, showPath } from "#core/snapshot/show-path.ts";

const SLICE_BYTES = 8192;

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
