import type { NetworkPlan } from "#core/network.ts";
import { heldKey, type HeldContainer } from "./held.ts";
import { shapeKey, type Shape } from "./shape.ts";

/** What a sandbox asks of the boot that becomes it. */
export interface Need {
  readonly shape: Shape;
  readonly held: readonly HeldContainer[];
  /** Absent = whatever; a policy is changed in a few milliseconds. */
  readonly network?: NetworkPlan;
}

/** Whether a boot can become what is needed with nothing made, only told. */
export function fits(boot: Need, need: Need): boolean {
  return shapeKey(boot.shape) === shapeKey(need.shape) && heldKey(boot.held) === heldKey(need.held);
}

/** Whether two policies are the same. */
export function sameNetwork(a: NetworkPlan | undefined, b: NetworkPlan): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}
