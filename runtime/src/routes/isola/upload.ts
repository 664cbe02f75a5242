import { ProblemError } from "#core/problem-error.ts";
import { answer } from "../../answer.ts";
import { callOf, type GatewayContext, type RouteDeps } from "../../gateway.ts";
import { callAgent, type AgentRequest } from "./agent-call.ts";
import { guardBody } from "./guarded-body.ts";

export interface UploadOptions {
  readonly sandboxId: string;
  /** What to send, without its body. */
  readonly request: Omit<AgentRequest, "body">;
  /** Longest silence of the caller; absent = no limit. */
  readonly stallMs?: number;
}

/**
 * Streams the request's body to the agent and answers 204 when the agent has confirmed. A body
 * that was cut breaks the agent's request too: it never looks like a shorter one.
 */
export async function upload(c: GatewayContext, deps: RouteDeps, options: UploadOptions): Promise<Response> {
  const call = callOf(c);
  const declared = c.req.header("content-length");
  const expectedBytes = declared === undefined ? undefined : Number(declared);
  if (expectedBytes !== undefined && !Number.isSafeInteger(expectedBytes)) {
    throw new ProblemError("bad-request", "The Content-Length cannot be read.");
  }
  const release = deps.streams.acquire(c.env, options.sandboxId);
  let broken: Error | undefined;
  const onClose = (error?: Error): void => {
    broken ??= error;
  };
  const { stallMs } = options;
  const guard = { clock: deps.clock, expectedBytes, onClose, ...(stallMs === undefined ? {} : { stallMs }) };
  try {
    const agent = await deps.backend.agent(options.sandboxId, call);
    const source = c.req.raw.body;
    const body = source === null ? undefined : guardBody(source, guard);
    const { response } = await callAgent(
      agent,
      { ...options.request, body, bodyBytes: expectedBytes },
      { signal: call.signal, clock: deps.clock },
    );
    await response.body?.cancel();
    if (broken !== undefined) throw broken;
    return answer(c, 204, null);
  } catch (error) {
    if (broken === undefined || call.signal.aborted) throw error;
    throw new ProblemError("bad-request", "The upload was cut or did not have the promised length.", { cause: broken });
  } finally {
    release();
  }
}
