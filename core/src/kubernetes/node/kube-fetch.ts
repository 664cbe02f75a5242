import { Agent as HttpAgent, request as requestHttp, type Agent, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as requestHttps, type AgentOptions } from "node:https";
import { Readable } from "node:stream";
import type { KubeFetch } from "../client.ts";
import { abortRequest } from "../../node/abort-request.ts";
import { UnsentError } from "../kube-error.ts";

/** What makes a request this program's own. */
export interface KubeCredentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: AgentOptions;
  /** Where requests go through a proxy: it is used as it is. */
  readonly proxy?: Agent;
}

export interface CredentialsSource {
  get(): Promise<KubeCredentials>;
  /** The API server no longer takes them: the next `get` reads anew. */
  expire(): void;
}

export interface KubeAccess {
  /** URL of the API server; its path stands before each path. */
  readonly server: string;
  readonly credentials: CredentialsSource;
}

export interface KubeFetchOptions {
  /** Connections for calls; more calls at once wait for one. Watches have their own. @default 64 */
  readonly maxConnections?: number;
  readonly userAgent: string;
}

/** Idle connections go before the API server would end them, or a call could meet one that is just being ended. */
const IDLE_MS = 30_000;
/** TCP's own probes find a peer that vanished under a watch. */
const TCP_PROBE_MS = 15_000;
const UNAUTHORIZED = 401;

interface Connections {
  readonly credentials: KubeCredentials;
  readonly calls: Agent;
  readonly watches: Agent;
}

/**
 * The way to an API server. Calls share few kept-open connections and their bodies arrive whole: a
 * stream for each would cost more than the call; watches stream. Works on Node, Bun and Deno alike.
 */
export function createKubeFetch(access: KubeAccess, options: KubeFetchOptions): KubeFetch {
  const { maxConnections = 64, userAgent } = options;
  const { credentials } = access;
  const server = serverOf(access.server);
  let connections: Connections | undefined;

  const connect = async (): Promise<Connections> => {
    const current = await credentials.get();
    if (connections?.credentials === current) return connections;
    if (connections !== undefined && sameTls(connections.credentials, current)) {
      connections = { ...connections, credentials: current };
    } else {
      // Calls under way keep the old connections; unused ones end by themselves.
      const agent = (limits: AgentOptions) => current.proxy ?? newAgent(server, { ...current.tls, ...limits });
      connections = {
        credentials: current,
        calls: agent({ maxSockets: maxConnections, timeout: IDLE_MS }),
        watches: agent({}),
      };
    }
    return connections;
  };

  const once = async (path: string, init: RequestInit, isWatch: boolean): Promise<IncomingMessage> => {
    const { credentials: current, calls, watches } = await connect();
    const headers = { ...current.headers, "user-agent": userAgent, ...plainHeaders(init.headers) };
    return send(server, path, init, headers, isWatch ? watches : calls);
  };

  return async (path, init) => {
    const isWatch = /[?&]watch=(true|1)(&|$)/.test(path);
    let answer = await once(path, init, isWatch);
    if (answer.statusCode === UNAUTHORIZED) {
      // Rotated or expired a moment ago: nothing was done, and new credentials may be there.
      answer.resume();
      credentials.expire();
      answer = await once(path, init, isWatch);
    }
    return responseOf(answer, isWatch);
  };
}

interface Server {
  readonly isPlain: boolean;
  readonly hostname: string;
  readonly port: number;
  /** Path before each path, without a slash at its end. */
  readonly prefix: string;
}

function serverOf(address: string): Server {
  const url = new URL(address);
  const isPlain = url.protocol === "http:";
  return {
    isPlain,
    hostname: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (isPlain ? 80 : 443) : Number(url.port),
    prefix: url.pathname.replace(/\/$/, ""),
  };
}

function newAgent({ isPlain }: Server, options: AgentOptions): Agent {
  const all: AgentOptions = { keepAlive: true, keepAliveMsecs: TCP_PROBE_MS, scheduling: "lifo", ...options };
  return isPlain ? new HttpAgent(all) : new HttpsAgent(all);
}

/** Certificates decide over a connection; tokens go with each request. */
function sameTls(a: KubeCredentials, b: KubeCredentials): boolean {
  const text = ({ tls }: KubeCredentials): string => JSON.stringify(tls);
  return a.proxy === b.proxy && text(a) === text(b);
}

function send(
  { isPlain, hostname, port, prefix }: Server,
  path: string,
  { method = "GET", body, signal }: RequestInit,
  headers: Record<string, string>,
  agent: Agent,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const payload = typeof body === "string" ? Buffer.from(body) : undefined;
    const outgoing = (isPlain ? requestHttp : requestHttps)({
      hostname,
      port,
      path: prefix + path,
      method,
      agent,
      headers: payload === undefined ? headers : { ...headers, "content-length": payload.length },
    });
    if (signal !== null && signal !== undefined) abortRequest(outgoing, signal);
    let isConnected = false;
    outgoing.on("socket", (socket) => {
      if (!socket.connecting) isConnected = true;
      else socket.once(isPlain ? "connect" : "secureConnect", () => (isConnected = true));
    });
    outgoing.on("response", (answer) => {
      // Who reads it hears of a break, too; this is for one that comes when nobody reads any more.
      answer.on("error", () => undefined);
      resolve(answer);
    });
    outgoing.on("error", (error) =>
      reject(isConnected || signal?.aborted ? error : new UnsentError(error.message, error)),
    );
    outgoing.end(payload);
  });
}

async function responseOf(answer: IncomingMessage, isWatch: boolean): Promise<Response> {
  const status = answer.statusCode ?? 0;
  const init = { status, headers: plainHeaders(answer.headers) };
  if (isWatch && status === 200) {
    return new Response(Readable.toWeb(answer) as ReadableStream<Uint8Array>, init);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  if (!answer.complete) throw new Error("The answer was cut");
  return new Response(chunks.length === 0 ? null : Buffer.concat(chunks), init);
}

function plainHeaders(headers: RequestInit["headers"] | IncomingMessage["headers"]): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers ?? {})) if (value !== undefined) plain[name] = String(value);
  return plain;
}
