import { mkdirSync } from "node:fs";
import { claim, ownerOf, release } from "./claim.ts";

/**
 * Makes an installation on the testbed this process's, until the answer is called: `folder` goes with
 * the testbed, and the note in it stays when a process is killed or cannot remove what it installed.
 * `renew` then brings up another testbed: nobody knows what is left on that one.
 */
export async function holdTestbed(folder: string, renew: () => Promise<void>): Promise<() => void> {
  const owner = ownerOf(folder);
  if (owner?.isAlive === true)
    throw new Error(`Process ${owner.pid} has the platform installed on the testbed: one after the other`);
  if (owner !== undefined) await renew();
  mkdirSync(folder, { recursive: true });
  claim(folder);
  return () => release(folder);
}
