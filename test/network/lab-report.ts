/** What became of one flow: what its sender learned, and whether any receiver saw it. */
export interface Outcome {
  readonly name: string;
  readonly answer: string;
  readonly arrived: boolean;
}

/** How long the receiver waited from the first byte to the last. */
export interface Upload {
  readonly bytes: number;
  readonly bytesPerSecond: number;
  /** What passes at once: the burst, or one second of the rate where the kernel knows no less. */
  readonly bucketBytes: number;
  readonly tookMs: number;
}

/** What the lab prints at its end. */
export interface LabReport {
  /** With the product's rules. */
  readonly enforced: readonly Outcome[];
  /** Flows that must not arrive, sent again without any rules. */
  readonly control: readonly Outcome[];
  /** From inside gVisor, and an upload under a rate limit. */
  readonly guests: readonly { readonly flows: readonly Outcome[]; readonly upload: Upload }[];
  /** An upload whose rate is held by dropping. */
  readonly policed: Upload;
  /** Links and tracked connections after every link was detached. */
  readonly left: readonly string[];
  /** Tracked connections before that. */
  readonly trackedBefore: number;
  /** nft tables after the rules were removed. */
  readonly tables: string;
}

/** What the other lab prints: links through crashes, restarts and neighbours. */
export interface LifeReport {
  /** After each crash and clean-up: names of links, namespaces and rules still there. */
  readonly leftovers: readonly (readonly string[])[];
  readonly restart: {
    /** The policy of a living link is the same after a restart. */
    readonly kept: boolean;
    /** The index of a living link was handed out again. */
    readonly reused: boolean;
    readonly found: readonly number[];
  };
  /** Links work and go although a table of another version was there. */
  readonly otherVersion: boolean;
  /** The link's queue under the least and the most rate, then without a limit again. */
  readonly rates: readonly string[];
  readonly foreign: {
    readonly untouched: boolean;
    readonly foreignDrops: readonly string[];
    readonly tables: string;
  };
  readonly capabilities: object;
  readonly clash: string;
}
