/** What became of one flow: what its sender learned, and whether any receiver saw it. */
export interface Outcome {
  readonly name: string;
  readonly answer: string;
  readonly arrived: boolean;
}

/** What the lab prints at its end. */
export interface LabReport {
  /** With the product's rules. */
  readonly enforced: readonly Outcome[];
  /** Flows that must not arrive, sent again without any rules. */
  readonly control: readonly Outcome[];
  /** From inside gVisor, and an upload under a rate limit. */
  readonly guest: {
    readonly flows: readonly Outcome[];
    readonly upload: { readonly bytes: number; readonly bytesPerSecond: number; readonly tookMs: number };
  };
  /** Links and tracked connections after every link was detached. */
  readonly left: readonly string[];
  /** nft tables after the rules were removed. */
  readonly tables: string;
}
