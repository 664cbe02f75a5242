/** How the counts of a suite are read: see `outcome.ts`. */
export type Counting = "exit" | "tally" | "vitest" | "pytest";

/** One row of `atoll test`. */
export interface Suite {
  /** Kebab-case; the name for `--only` and of the log file. */
  readonly name: string;
  readonly title: string;
  /** The suite is killed and failed after this time. */
  readonly budgetSeconds: number;
  /**
   * "setup" means root too, "stores" a set-up with servers of object stores, "testbed" a set-up, and
   * "platform" both of these.
   */
  readonly needs: "nothing" | "root" | "setup" | "stores" | "testbed" | "platform";
  /** Part of `--quick`. */
  readonly quick: boolean;
  /** Program and arguments, from the checkout's root; pinned tools come first in PATH. */
  readonly command: readonly string[];
  readonly counting: Counting;
}
