/** How the gateway behaves; `manifest.ts` reads it from the environment. */
export interface GatewayConfig {
  /** Longest wait of a create for Running. The released client reads for 30 s and repeats POST without a key. */
  readonly createWaitMs: number;
  /** Largest JSON body. Source: the REST contract. */
  readonly maxJsonBytes: number;
  /** All header names and values of a request, and its target, together. Infinity where the runtime bounds them itself: looking at each costs time. */
  readonly maxHeaderBytes: number;
  /** Streams (output, input, files) at once, in all and of one sandbox. */
  readonly maxStreams: number;
  readonly maxStreamsPerSandbox: number;
  /** A comment goes out on an output stream after so long without data. Source: the REST contract. */
  readonly heartbeatMs: number;
  /** Silence of a peer in the middle of a stream after which it counts as dead; the agent's own heartbeat is 10 s. */
  readonly stallMs: number;
  /** Longest wait for the agent to begin its answer, above any long poll. */
  readonly agentAnswerMs: number;
  /** How long an output stream's headers wait for its first frame, which may say that nothing is left. */
  readonly firstFrameMs: number;
  /** SHA-256 of each API key, in hex. Empty = no key is asked for. */
  readonly apiKeyHashes: readonly string[];
  /** Hosts by which the gateway may be addressed when no key is asked for, loopback names apart; `*` = any. */
  readonly allowedHosts: readonly string[];
}

/** Hard bound of `createWaitMs`, from the released client's read timeout. */
export const MAX_CREATE_WAIT_MS = 20_000;

export const DEFAULT_GATEWAY_CONFIG: GatewayConfig = {
  createWaitMs: 10_000,
  maxJsonBytes: 1 << 20,
  maxHeaderBytes: 16 << 10,
  maxStreams: 4096,
  maxStreamsPerSandbox: 512,
  heartbeatMs: 15_000,
  stallMs: 30_000,
  agentAnswerMs: 10_000,
  firstFrameMs: 100,
  apiKeyHashes: [],
  allowedHosts: [],
};
