const SLICES = 16;
const SLICE_BYTES = 4096;
const MOST_BITS = 7.9;

/**
 * Whether bytes look like what is packed or encrypted already: as many of each value. To compress those
 * takes longer than to send them, and saves about nothing. A look at a few of them is enough, as a wrong
 * answer costs time or room, never bytes.
 */
export function looksRandom(bytes: Uint8Array): boolean {
  if (bytes.length < SLICES * SLICE_BYTES) return false;
  const counts = new Uint32Array(256);
  const stride = Math.floor((bytes.length - SLICE_BYTES) / (SLICES - 1));
  for (let slice = 0; slice < SLICES; slice += 1) {
    const end = slice * stride + SLICE_BYTES;
    for (let at = slice * stride; at < end; at += 1) counts[bytes[at] ?? 0] = (counts[bytes[at] ?? 0] ?? 0) + 1;
  }
  const total = SLICES * SLICE_BYTES;
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= (count / total) * Math.log2(count / total);
  return bits > MOST_BITS;
}
