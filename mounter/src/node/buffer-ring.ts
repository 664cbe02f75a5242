/**
 * Buffers of one size that come round again: each is good until as many others have been taken as the ring
 * has. Megabytes that are allocated anew for each piece keep the collector of garbage busier than the work itself.
 */
export interface BufferRing {
  next(): Buffer;
}

export function createBufferRing(count: number, bytes: number): BufferRing {
  const buffers: Buffer[] = [];
  let taken = 0;
  return {
    next() {
      const index = taken % count;
      taken += 1;
      return (buffers[index] ??= Buffer.allocUnsafeSlow(bytes));
    },
  };
}
