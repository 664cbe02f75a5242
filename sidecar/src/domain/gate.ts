import { ProblemError } from "#core/problem-error.ts";

/** Hands out at most `most` places; `too-many-requests` beyond. The function given back frees the place once. */
export function createGate(most: number): () => () => void {
  let taken = 0;
  return () => {
    if (taken >= most)
      throw new ProblemError("too-many-requests", `The agent serves ${most} streams at once, and all are in use.`);
    taken += 1;
    let held = true;
    return () => {
      if (held) taken -= 1;
      held = false;
    };
  };
}
