import { createRoute } from "@hono/zod-openapi";
import * as z from "zod";
import { FRAME_MEDIA_TYPE } from "#api/agent.ts";
import { decodeFrames } from "#core/frames.ts";
import { ProblemError } from "#core/problem-error.ts";
import { callOf, type Gateway, type GatewayContext, type RouteDeps } from "../../gateway.ts";
import { bind } from "../bind.ts";
import { callAgent, type AgentAnswer } from "./agent-call.ts";
import { commandRequest } from "./command-requests.ts";
import { outcomeUnknown } from "./commands.ts";
import { createEventStream, type FrameSource } from "./event-stream.ts";
import { answerStream, wantsFrames } from "./frames-answer.ts";
import { guardBody } from "./guarded-body.ts";
import { CommandParams, LastEventId } from "./parameters.ts";
import { problems } from "./responses.ts";

type Stream = "stdout" | "stderr";

/** Standard output and error of a command as a stream that can be resumed at any byte. */
export function commandOutputRoutes(app: Gateway, deps: RouteDeps): void {
  for (const stream of ["stdout", "stderr"] as const) {
    bind(
      app,
      outputRoute(stream),
      async (c, { params, headers }) => {
        const offset = parseOffset(headers["Last-Event-ID"]);
        const release = deps.streams.acquire(c.env, params.sandboxId);
        try {
          return await openOutput(c, deps, { ...params, stream, offset, release });
        } catch (error) {
          release();
          throw error;
        }
      },
      deps.config,
    );
  }
}

interface Output {
  readonly sandboxId: string;
  readonly id: string;
  readonly stream: Stream;
  readonly offset: number;
  release(): void;
}

async function openOutput(c: GatewayContext, { backend, clock, config }: RouteDeps, output: Output): Promise<Response> {
  const call = callOf(c);
  const agent = await backend.agent(output.sandboxId, call);
  const query = { offset: `${output.offset}` };
  const rest = { method: "GET", query, repeatable: true, answerMs: config.agentAnswerMs } as const;
  const answer = await callAgent(agent, commandRequest(output.id, `/${output.stream}`, rest), {
    signal: call.signal,
    clock,
  });
  const onClose = (error?: Error): void => {
    output.release();
    answer.abort();
    if (error !== undefined) call.log.warn("output stream broken", { sandbox_id: output.sandboxId, cause: error });
  };
  const { stallMs, heartbeatMs } = config;
  const body = answer.response.body ?? new ReadableStream<Uint8Array<ArrayBuffer>>();
  if (wantsFrames(c)) {
    return answerStream(c, FRAME_MEDIA_TYPE, guardBody(body, { clock, stallMs, onClose }));
  }
  const source = await openFrames(body, answer, { clock, config, id: output.id });
  const events = createEventStream(source, { offset: output.offset, clock, heartbeatMs, stallMs, onClose });
  return answerStream(c, "text/event-stream", events);
}

/**
 * Looks at the first frame, if it comes soon: a stream of which nothing is left is refused while
 * that can still be said with a status.
 */
async function openFrames(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  answer: AgentAnswer,
  { clock, config, id }: Pick<RouteDeps, "clock" | "config"> & { readonly id: string },
): Promise<FrameSource> {
  const frames = decodeFrames(body);
  const first = frames.next();
  const timer = new AbortController();
  const soon = clock.sleep(config.firstFrameMs, timer.signal).catch(() => undefined);
  try {
    const result = await Promise.race([first, soon]);
    if (result?.done) throw new ProblemError("agent-unreachable", "The agent of the sandbox broke the connection.");
    if (result?.value?.kind === "lost") throw outcomeUnknown(id);
    return { frames, first };
  } catch (error) {
    answer.abort();
    throw error instanceof ProblemError
      ? error
      : new ProblemError("agent-unreachable", "The agent of the sandbox broke the connection.", { cause: error });
  } finally {
    timer.abort();
  }
}

/** Absent or empty is the beginning; anything but a whole number is a 400. */
function parseOffset(text = ""): number {
  if (text === "") return 0;
  const offset = Number(text);
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(offset)) return offset;
  throw new ProblemError("bad-offset", `Cannot resume at Last-Event-ID "${text}": it is not a byte offset.`);
}

function outputRoute(stream: Stream) {
  return createRoute({
    method: "get",
    path: `/v1/sandboxes/{sandboxId}/commands/{id}/${stream}` as const,
    operationId: stream === "stdout" ? "getSandboxCommandStdout" : "getSandboxCommandStderr",
    summary: `Standard ${stream === "stdout" ? "output" : "error"} of a command`,
    description:
      "Follows the stream to its end, from the byte in Last-Event-ID; can be read again after the command has ended. " +
      "A clean end of the body is the only sign that the stream is complete: a connection that breaks is to be resumed. " +
      "As server-sent events, `id` is the raw byte offset after the event and line breaks become LF. " +
      `With \`Accept: ${FRAME_MEDIA_TYPE}\` the answer has the raw bytes in frames: a kind byte (1 data, 2 idle, 3 end, 4 lost), ` +
      "the payload's length as 32 bits big-endian, the payload; an end frame carries the total length as 64 bits. " +
      "Bytes that are no longer kept are a 410 whose `firstByte` is the first that is.",
    tags: ["Commands"],
    request: { params: CommandParams, headers: z.object({ "Last-Event-ID": LastEventId.optional() }) },
    responses: {
      200: {
        description: "The stream",
        content: {
          "text/event-stream": { schema: { type: "string" } },
          [FRAME_MEDIA_TYPE]: { schema: { type: "string", format: "binary" } },
        },
      },
      ...problems(400, 404, 409, 410, 429, 502),
    },
  });
}
