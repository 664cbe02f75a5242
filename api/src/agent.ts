import * as z from "zod";
import { CommandId, ContainerName } from "./scalars.ts";

export {
  AGENT_MAX_WAIT_MS,
  AGENT_PATHS,
  FILE_SIZE_HEADER,
  FRAME_IDLE_MS,
  FRAME_KIND,
  FRAME_MAX_PAYLOAD_BYTES,
  FRAME_MEDIA_TYPE,
} from "./agent-protocol.ts";

/** One of the sandbox's own containers as the agent finds it. */
export const AgentContainer = z.strictObject({
  name: ContainerName,
  /** Process id of the container's main process in the sandbox's pid namespace. */
  pid: z.int().min(1),
});

export const AgentHealth = z.strictObject({
  status: z.literal("ok"),
  version: z.string(),
  /** Changes when the agent restarts. */
  instance: z.string(),
  containers: z.array(AgentContainer),
});

/** The id is chosen by the gateway; a repeat with the same id and body answers with the command that exists. */
export const AgentCreateCommand = z.strictObject({
  id: CommandId,
  args: z.array(z.string()).min(1),
  env: z.record(z.string(), z.string()).optional(),
  cwd: z.string().optional(),
  timeoutMs: z.int().min(1).optional(),
});

/** Bytes of one output stream: kept are `first` (inclusive) to `end` (exclusive). */
export const AgentStream = z.strictObject({ first: z.int().min(0), end: z.int().min(0), complete: z.boolean() });

/**
 * `exited` has the exit code, -1 when a signal ended the process (`signal` says which).
 * `unknown` means that the agent restarted while the command ran: nobody saw it end.
 */
export const AgentCommand = z.strictObject({
  id: CommandId,
  container: ContainerName,
  state: z.enum(["running", "exited", "unknown"]),
  exitCode: z.int().nullable(),
  signal: z.int().nullable(),
  /** Why it ended, when the agent ended it. */
  endedBy: z.enum(["timeout", "kill"]).nullable(),
  stdout: AgentStream,
  stderr: AgentStream,
});

export type AgentHealth = z.infer<typeof AgentHealth>;
export type AgentCreateCommand = z.infer<typeof AgentCreateCommand>;
export type AgentCommand = z.infer<typeof AgentCommand>;
export type AgentStream = z.infer<typeof AgentStream>;
