import { FRAME_BYTES } from "../../archive/zstd-frame.ts";

/** As many as are packed at once. Shared by all: nobody writes into it. */
const ZEROES: Uint8Array = Buffer.alloc(FRAME_BYTES);

/** So many zero bytes, at most a frame of them, which take no memory of their own. */
export function zeroes(bytes: number): Uint8Array {
  return ZEROES.subarray(0, bytes);
}

/** Whether there is nothing but zeroes in what is no longer than a frame; other bytes cost about nothing. */
export function areZeroes(bytes: Uint8Array): boolean {
  return bytes.length <= FRAME_BYTES && Buffer.compare(bytes, zeroes(bytes.length)) === 0;
}
