import { sweepStrays } from "./strays.ts";

/** Before the tests of layers: what the processes of an earlier run were killed over. */
export function setup(): void {
  sweepStrays("atoll-snapshot-");
}

/** After them: the same for this run. */
export const teardown = setup;
