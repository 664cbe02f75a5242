import type { Clock } from "#core/clock.ts";
import type { Containers } from "../ports.ts";

const LOOK_MS = 200;

/** Resolves when no container of the sandbox has its main process any more. */
export async function untilAlone(containers: Containers, clock: Clock): Promise<void> {
  while (containers.list().length > 0) await clock.sleep(LOOK_MS);
}
