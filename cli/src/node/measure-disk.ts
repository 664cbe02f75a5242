import { execFile } from "node:child_process";

const TIMEOUT_MS = 20_000;

/** Disk that a folder uses; undefined when it cannot be measured in time or is not there. */
export function measureDisk(folder: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    execFile("du", ["-sx", "--block-size=1", folder], { timeout: TIMEOUT_MS }, (_, stdout) => {
      // Files that vanish meanwhile make du fail with a sum that is still right.
      const bytes = Number.parseInt(stdout, 10);
      resolve(Number.isNaN(bytes) ? undefined : bytes);
    });
  });
}
