import { sweepStrays } from "./strays.ts";

/** Before the agent's tests: what the processes of an earlier run were killed over. */
export function setup(): void {
  sweepStrays("atoll-agent-");
}

/** After them: the same for this run. */
export const teardown = setup;
