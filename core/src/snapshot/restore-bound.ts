/** Memory that the sandbox's kernel takes to unpack a layer: measured 2.1 times its unpacked size, and what it needs anyway. */
const MEMORY_FACTOR = 2.2;
const MEMORY_BASE_BYTES = 64 * 2 ** 20;

/** Limits of a sandbox in bytes; absent = none. */
export interface RestoreLimits {
  /** Of all containers together. */
  readonly memoryBytes?: number;
  /** Of the container that is restored. */
  readonly diskBytes?: number;
}

/** Memory that restoring so many unpacked bytes inside the sandbox needs. */
export function restoreMemoryBytes(tarBytes: number): number {
  return Math.ceil(tarBytes * MEMORY_FACTOR) + MEMORY_BASE_BYTES;
}

/**
 * Why a snapshot that the sandbox's own kernel unpacks does not fit, in one sentence with both
 * amounts; undefined when it does. Without this the whole sandbox would die in the middle.
 */
export function restoreObstacle(
  snapshotName: string,
  tarBytes: number,
  { memoryBytes, diskBytes }: RestoreLimits,
): string | undefined {
  const needed = restoreMemoryBytes(tarBytes);
  if (memoryBytes !== undefined && memoryBytes < needed) {
    return `Restoring the snapshot "${snapshotName}" needs ${needed} bytes of memory, and the sandbox's limit is ${memoryBytes}.`;
  }
  if (diskBytes !== undefined && diskBytes < tarBytes) {
    return `The snapshot "${snapshotName}" has ${tarBytes} bytes unpacked, and the container's limit of ephemeralStorage is ${diskBytes}.`;
  }
  return undefined;
}
