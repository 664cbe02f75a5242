import { execFileSync } from "node:child_process";
import { existsSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";

const CLAIMS = "/run";
const PLACES = 640;

/**
 * The number of a piece of the address space that only this home uses. Files of a suite run side by side, and two that
 * drew the same piece by chance would refuse each other's routes. A claim is a link to its home: whose home is gone
 * has ended, however it ended. A piece with routes is passed over, as a test that was killed leaves them.
 */
export function claimNetwork(home: string): number {
  const first = [...home].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % PLACES, 7);
  const places = Array.from({ length: PLACES }, (_, step) => (first + step) % PLACES);
  const place =
    places.find((each) => holder(each) === home) ?? places.find((each) => isFree(each) && claims(home, each));
  if (place !== undefined) return place;
  throw new Error(`All ${PLACES} networks for tests are taken: see ${CLAIMS}/${nameOf(0)} and its neighbours.`);
}

/** IPv4 addresses of a place, as CIDR. */
export function poolOf(place: number): string {
  return `10.${210 + Math.floor(place / 16)}.${(place % 16) * 16}.0/20`;
}

/** Gives back what a home has claimed. */
export function releaseNetwork(home: string): void {
  for (let place = 0; place < PLACES; place += 1) {
    if (holder(place) === home) rmSync(join(CLAIMS, nameOf(place)), { force: true });
  }
}

function claims(home: string, place: number): boolean {
  const now = holder(place);
  if (now !== undefined && existsSync(now)) return false;
  const link = join(CLAIMS, nameOf(place));
  if (now !== undefined) rmSync(link, { force: true });
  try {
    symlinkSync(home, link);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function isFree(place: number): boolean {
  return execFileSync("ip", ["route", "show", "root", poolOf(place)], { encoding: "utf8" }).trim() === "";
}

function holder(place: number): string | undefined {
  try {
    return readlinkSync(join(CLAIMS, nameOf(place)));
  } catch {
    return undefined;
  }
}

function nameOf(place: number): string {
  return `atoll-test-network-${place}`;
}
