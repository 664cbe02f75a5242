import { AgentCommand } from "#api/agent.ts";
import { Problem, problemSlug, type ProblemSlug } from "#api/problem.ts";
import type { Clock } from "#core/clock.ts";
import { ProblemError } from "#core/problem-error.ts";
import { parseJson, readText } from "../../agent/read-text.ts";
import type { AgentFetch } from "../../backend/port.ts";

export interface AgentRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: ReadableStream<Uint8Array> | string | undefined;
  /** Exact length of a body that is a stream, where it is promised: it then goes unchunked, which is cheaper. */
  readonly bodyBytes?: number | undefined;
  /** Media type wanted; absent = the agent's choice. */
  readonly accept?: string;
  /** True when doing it twice does no harm: then a broken connection is a 502, which clients repeat, otherwise a 500. */
  readonly repeatable: boolean;
  /** Longest wait for the beginning of the answer. */
  readonly answerMs: number;
}

/** An answer of the agent that is not a fault. `abort` ends its body. */
export interface AgentAnswer {
  readonly response: Response;
  abort(reason?: unknown): void;
}

/** What an agent may complain of; anything else is a fault of the agent itself. It is hostile: it must not speak for the gateway. */
const AGENT_SLUGS: ReadonlySet<ProblemSlug> = new Set<ProblemSlug>([
  "bad-request",
  "bad-path",
  "bad-offset",
  "bad-working-directory",
  "not-a-file",
  "container-required",
  "unknown-container",
  "container-ended",
  "path-escape",
  "file-not-found",
  "command-not-found",
  "command-ended",
  "stdin-closed",
  "outcome-unknown",
  "output-gone",
  "idempotency-mismatch",
  "validation-failed",
  "too-many-requests",
  "capacity-exhausted",
  "disk-full",
  "start-failed",
]);
const MAX_PROBLEM_BYTES = 4096;
const MAX_VIEW_BYTES = 16_384;
const MAX_DETAIL_CHARACTERS = 1000;

/** Sends one request; throws ProblemError for every answer that is not 2xx. */
export async function callAgent(
  send: AgentFetch,
  request: AgentRequest,
  deps: { signal: AbortSignal; clock: Clock },
): Promise<AgentAnswer> {
  const life = new AbortController();
  const signal = AbortSignal.any([deps.signal, life.signal]);
  const stopTimer = after(request.answerMs, deps.clock, () => life.abort());
  try {
    const response = await send(toRequest(request, signal));
    if (!response.ok) throw await toProblem(request, response);
    return { response, abort: (reason) => life.abort(reason ?? new Error("The stream is no longer wanted")) };
  } catch (error) {
    if (error instanceof ProblemError || deps.signal.aborted) throw error;
    if (life.signal.aborted) throw unreachable(request, "did not answer in time");
    throw unreachable(request, "broke the connection", error);
  } finally {
    stopTimer();
  }
}

/** Does `act` when the time is over, unless the answered function is called before. */
function after(ms: number, clock: Clock, act: () => void): () => void {
  const timer = new AbortController();
  clock.sleep(ms, timer.signal).then(act, () => undefined);
  return () => timer.abort();
}

/** The command's state in an answer, whose body must come within as long again as its beginning. */
export async function readCommand(
  request: AgentRequest,
  { response, abort }: AgentAnswer,
  clock: Clock,
): Promise<AgentCommand> {
  const stopTimer = after(request.answerMs, clock, () => abort());
  const text = await readText(response, MAX_VIEW_BYTES).finally(stopTimer);
  const view = AgentCommand.safeParse(parseJson(text));
  if (!view.success) throw unreachable(request, "gave an answer that cannot be read", view.error);
  return view.data;
}

/** A body of a promised, small size, which must come within as long again as its beginning; no byte more is kept. */
export async function readWhole(
  request: AgentRequest,
  { response, abort }: AgentAnswer,
  { sizeBytes, clock }: { readonly sizeBytes: number; readonly clock: Clock },
): Promise<Uint8Array<ArrayBuffer>> {
  const stopTimer = after(request.answerMs, clock, () => abort());
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  try {
    for await (const chunk of response.body ?? []) {
      if (at + chunk.length <= sizeBytes) whole.set(chunk, at);
      at += chunk.length;
      if (at > sizeBytes) break;
    }
  } catch (error) {
    throw unreachable(request, "broke the connection", error);
  } finally {
    stopTimer();
  }
  if (at !== sizeBytes) throw unreachable(request, "gave an answer of another size than promised");
  return whole;
}

function toRequest(request: AgentRequest, signal: AbortSignal): Request {
  const { method, path, query = {}, body, bodyBytes, accept } = request;
  const url = new URL(path, "http://agent");
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
  const init: RequestInit & { duplex: "half" } = { method, signal, duplex: "half" };
  if (body === undefined) return new Request(url, init);
  const type = typeof body === "string" ? "application/json" : "application/octet-stream";
  const headers = {
    "Content-Type": type,
    ...(bodyBytes === undefined ? {} : { "Content-Length": `${bodyBytes}` }),
    ...(accept === undefined ? {} : { Accept: accept }),
  };
  return new Request(url, { ...init, body, headers });
}

async function toProblem(request: AgentRequest, response: Response): Promise<ProblemError> {
  const text = await readText(response, MAX_PROBLEM_BYTES);
  const problem = Problem.safeParse(parseJson(text)).data;
  const slug = problem === undefined ? undefined : problemSlug(problem.type);
  if (problem === undefined || slug === undefined || !AGENT_SLUGS.has(slug)) {
    return unreachable(
      request,
      `answered with status ${response.status}`,
      new Error(text.slice(0, MAX_DETAIL_CHARACTERS)),
    );
  }
  const detail = problem.detail.replaceAll(/\p{Cc}/gu, " ").slice(0, MAX_DETAIL_CHARACTERS);
  return new ProblemError(slug, detail, problem.firstByte === undefined ? {} : { firstByte: problem.firstByte });
}

function unreachable({ repeatable }: AgentRequest, what: string, cause?: unknown): ProblemError {
  const detail = `The agent of the sandbox ${what}.`;
  return new ProblemError(repeatable ? "agent-unreachable" : "internal", detail, { cause });
}
