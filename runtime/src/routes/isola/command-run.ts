import { FRAME_MEDIA_TYPE } from "#api/agent-protocol.ts";
import { COMMAND_ID_HEADER } from "#api/agent-run.ts";
import { answer, answerJson } from "../../answer.ts";
import { callOf, type GatewayContext, type RouteDeps } from "../../gateway.ts";
import { callAgent, readCommand, readWhole, type AgentRequest } from "./agent-call.ts";
import { answerStream, STREAM_HEADERS } from "./frames-answer.ts";
import { guardBody } from "./guarded-body.ts";

/** An answer of a known size up to this is passed on in one piece; an agent holds back no more than 64 KiB of output, or what came at once. */
const MAX_WHOLE_BYTES = 256 << 10;

export interface Run {
  readonly sandboxId: string;
  readonly id: string;
  readonly request: AgentRequest;
}

/**
 * Starts a command and passes its run on as the agent frames it. The id is the gateway's own
 * word, in a header: what the agent sends cannot make a client act on another command.
 */
export async function answerRun(
  c: GatewayContext,
  deps: RouteDeps,
  { sandboxId, id, request }: Run,
): Promise<Response> {
  const { backend, clock, config } = deps;
  const call = callOf(c);
  const release = deps.streams.acquire(c.env, sandboxId);
  try {
    const agent = await backend.agent(sandboxId, call);
    const run = await callAgent(agent, { ...request, accept: FRAME_MEDIA_TYPE }, { signal: call.signal, clock });
    if (run.response.headers.get("content-type") !== FRAME_MEDIA_TYPE) {
      // An agent of before frames of a run, in a sandbox of before this gateway: it has only started the command.
      await readCommand(request, run, clock);
      release();
      return answerJson(c, 202, { id });
    }
    const headers = { [COMMAND_ID_HEADER]: id };
    const sizeBytes = Number(run.response.headers.get("content-length") ?? Number.NaN);
    if (sizeBytes >= 0 && sizeBytes <= MAX_WHOLE_BYTES) {
      const bytes = await readWhole(request, run, { sizeBytes, clock });
      release();
      return answer(c, 200, bytes, { ...STREAM_HEADERS, ...headers, "Content-Type": FRAME_MEDIA_TYPE });
    }
    const onClose = (error?: Error): void => {
      release();
      run.abort();
      if (error !== undefined) call.log.warn("run broken", { sandbox_id: sandboxId, cause: error });
    };
    const body = run.response.body ?? new ReadableStream<Uint8Array<ArrayBuffer>>();
    const guarded = guardBody(body, { clock, stallMs: config.stallMs, onClose });
    return answerStream(c, FRAME_MEDIA_TYPE, guarded, headers);
  } catch (error) {
    release();
    throw error;
  }
}
