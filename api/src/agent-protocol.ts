/**
 * The protocol between a gateway and the agent inside a sandbox: HTTP/1.1 over a Unix
 * socket (one machine) or TCP (Kubernetes). Each request carries a bearer token
 * (`core/agent-token.ts`). Errors are problem documents. Everything an agent sends is
 * hostile input to the gateway: it parses with the schemas of `agent.ts` and bounds sizes.
 * Over TCP each request also carries a nonce in AGENT_NONCE_HEADER, and each answer to a request
 * with a good token its proof in AGENT_PROOF_HEADER (`core/agent-proof.ts`).
 *
 *   GET    /v1/health                                     AgentHealth
 *   POST   /v1/commands?container=                        AgentCreateCommand -> 202 AgentCommand, or its run (`agent-run.ts`)
 *   GET    /v1/commands/{id}?waitMs=                      AgentCommand (long poll until it ends)
 *   DELETE /v1/commands/{id}                              204, kills the process group
 *   GET    /v1/commands/{id}/{stdout|stderr}?offset=      frames (below), follows until the end
 *   POST   /v1/commands/{id}/stdin                        204, raw bytes appended to standard input
 *   POST   /v1/commands/{id}/stdin/close                  204
 *   GET    /v1/files?path=&container=                     200 raw bytes, chunked; the file's size in FILE_SIZE_HEADER when known
 *   PUT    /v1/files?path=&container=                     204, atomic: temporary name, then rename
 */
export const AGENT_PATHS = { health: "/v1/health", commands: "/v1/commands", files: "/v1/files" } as const;

export const AGENT_NONCE_HEADER = "x-atoll-nonce";
export const AGENT_PROOF_HEADER = "x-atoll-proof";

/** Size in bytes of the file that follows. The body itself is chunked, so a cut one is an error, never a short file. */
export const FILE_SIZE_HEADER = "x-atoll-size";

/** Longest wait of one status long-poll, in milliseconds; above the gateway's own cap of 25 s. */
export const AGENT_MAX_WAIT_MS = 30_000;

/**
 * Frames of an output stream. Each starts with five bytes: the kind, then the payload's
 * length as an unsigned 32-bit big-endian number.
 *
 *   DATA  the next bytes of the stream; the first frame's bytes start at the offset asked for
 *   IDLE  nothing, sent when the stream was silent, so that a dead peer is noticed
 *   END   8 bytes: the total length as an unsigned 64-bit big-endian number. The only sign
 *         that the stream is complete; a body without it was cut.
 *   LOST  UTF-8 text: the agent restarted, the rest of this stream does not exist.
 */
export const FRAME_KIND = { data: 1, idle: 2, end: 3, lost: 4 } as const;
export const FRAME_HEADER_BYTES = 5;
/** Largest payload of one frame, in bytes; a larger length is a protocol error. */
export const FRAME_MAX_PAYLOAD_BYTES = 1 << 20;
/** Media type of a framed stream. */
export const FRAME_MEDIA_TYPE = "application/vnd.atoll.frames";
/** An IDLE frame is sent after this many milliseconds without data. */
export const FRAME_IDLE_MS = 10_000;
