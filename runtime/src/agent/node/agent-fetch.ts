import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { abortRequest } from "#core/node/abort-request.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { AgentFetch } from "#runtime/backend/port.ts";
import { sendBody, streamOf } from "./agent-bodies.ts";

/** Where an agent listens: on this machine, or in a pod. */
export type AgentAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export interface AgentTarget {
  readonly address: AgentAddress;
  /** A valid bearer token for this agent. */
  readonly token: () => Promise<string>;
}

export interface AgentConnection {
  readonly fetch: AgentFetch;
  /** Closes idle and busy connections; requests that wait, and later ones, fail with the reason. */
  close(reason?: Error): void;
}

/** Sends agent requests to one sandbox on kept-alive connections; works on Node, Bun and Deno alike. */
export function createAgentFetch(target: AgentTarget): AgentConnection {
  const pool = new Agent({ keepAlive: true, maxFreeSockets: 8 });
  const life = new AbortController();
  const fetch: AgentFetch = async (request) => {
    const token = await target.token();
    const url = new URL(request.url);
    const headers: Record<string, string> = {
      ...Object.fromEntries(request.headers),
      authorization: `Bearer ${token}`,
      host: "agent",
    };
    // JSON is small, and of one piece it leaves with the head.
    const isJson = request.headers.get("content-type") === "application/json";
    const json = isJson ? Buffer.from(await request.arrayBuffer()) : undefined;
    if (json !== undefined) headers["content-length"] = String(json.length);
    return new Promise<Response>((resolve, reject) => {
      const outgoing = httpRequest({
        agent: pool,
        ...target.address,
        method: request.method,
        path: url.pathname + url.search,
        headers,
      });
      abortRequest(outgoing, request.signal);
      // The pool's own end leaves requests under way on Bun.
      abortRequest(outgoing, life.signal);
      const fail = (cause: Error): void =>
        reject(
          request.signal.aborted || !life.signal.aborted ? unreachable(cause, request.signal) : life.signal.reason,
        );
      // Each of them: what is broken may say so twice, and an error that nobody hears ends the process.
      outgoing.on("error", fail);
      outgoing.once("response", (incoming) => {
        incoming.on("error", () => undefined);
        try {
          resolve(toResponse(incoming));
        } catch (cause) {
          // The agent is hostile: what cannot be a response is a broken one, never a fault of this process.
          incoming.destroy();
          reject(new Error("The agent's answer is no response", { cause }));
        }
      });
      // An agent says nothing in between and changes to no other protocol; without a listener such a request never ends.
      const refuse = (): void => void outgoing.destroy(new Error("The agent's answer is no answer"));
      outgoing.on("information", refuse);
      outgoing.once("upgrade", (_incoming, socket) => {
        socket.destroy();
        refuse();
      });
      outgoing.once("close", () => fail(new Error("The agent closed the connection")));
      if (json !== undefined || request.body === null) outgoing.end(json);
      else sendBody(request.body, outgoing).catch(reject);
    });
  };
  const close = (reason = new Error("The connection to the agent is closed")): void => {
    life.abort(reason);
    pool.destroy();
  };
  return { fetch, close };
}

function toResponse(incoming: IncomingMessage): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (typeof value === "string") headers.set(name, value);
  }
  const status = incoming.statusCode ?? 502;
  const empty = status === 204 || status === 304;
  if (empty) incoming.resume();
  return new Response(empty ? null : streamOf(incoming), { status, headers });
}

/** Errors of a connection that never came about: the agent has seen nothing of the request. */
const NOT_CONNECTED = new Set(["ECONNREFUSED", "ENOENT", "EACCES", "ENOTSOCK"]);
/** These break established connections, too. */
const NO_ROUTE = new Set(["EHOSTUNREACH", "ENETUNREACH"]);

function unreachable(cause: NodeJS.ErrnoException, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const { code = "", syscall } = cause;
  if (!NOT_CONNECTED.has(code) && !(NO_ROUTE.has(code) && syscall === "connect")) return cause;
  return new ProblemError("agent-unreachable", "The sandbox's agent does not answer.", { cause });
}
