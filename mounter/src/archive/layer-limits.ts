/** Bounds on what an archive may ask of who reads it. */
export interface LayerLimits {
  /** Most bytes of the archive, data and headers; what a restore has to hold. */
  readonly tarBytes: number;
  readonly entries: number;
  /** Most bytes of all names and targets of hard links together: they are held in memory. */
  readonly nameBytes: number;
}

/** Most bytes of one path: twice what a program can name at once, as trees may lie deeper. */
export const MOST_PATH_BYTES = 8192;
/** Most bytes of one name in a folder, as in every Linux file system. */
export const MOST_NAME_BYTES = 255;
/** Most bytes of a symbolic link's target, as in every Linux file system. */
export const MOST_TARGET_BYTES = 4095;
/** Most bytes of one entry's extended header: gVisor's reader takes no more. */
export const MOST_RECORD_BYTES = 1024 * 1024;

/** The bounds of an archive of at most so many bytes. */
export function layerLimits(tarBytes: number): LayerLimits {
  return { tarBytes, entries: 1_000_000, nameBytes: 128 * 1024 * 1024 };
}
