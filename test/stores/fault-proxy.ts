import { once } from "node:events";
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { systemClock } from "#core/clock.ts";

/** What the proxy does to one request. */
export type Fault =
  /** Answers itself, and the server hears nothing. */
  | { readonly kind: "status"; readonly status: number }
  /** Cuts the connection before the server hears anything. */
  | { readonly kind: "reset" }
  /** The server does as asked; its answer is lost. */
  | { readonly kind: "lost-answer" }
  /** Cuts the connection in the middle of the answer's body. */
  | { readonly kind: "truncate" }
  /** Sends half of the answer's body, and then nothing. */
  | { readonly kind: "stall" }
  /** Takes the request and says nothing. */
  | { readonly kind: "silence" }
  /** Changes a byte of the request's body. */
  | { readonly kind: "corrupt" }
  /** Changes a byte of the answer's body. */
  | { readonly kind: "corrupt-answer" }
  /** The answer's body in pieces with pauses. */
  | { readonly kind: "slow"; readonly pauseMs: number };

interface Rule {
  readonly matches: (asked: { readonly method: string; readonly path: string; readonly bodyBytes: number }) => boolean;
  readonly fault: Fault;
  left: number;
  readonly onHit: () => Promise<void> | void;
}

/** A request that the server answered. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  /** Its header of that name. */
  readonly authorization: string | undefined;
  readonly status: number;
  readonly answerBytes: number;
}

export interface FaultProxy {
  readonly origin: string;
  /** Requests so far. */
  requests(): number;
  /** Those that reached the server and were answered by it. */
  seen(): readonly SeenRequest[];
  /** Does this to the next requests that match, `times` of them; answers how many were hit so far. */
  add(fault: Fault, options?: Partial<Pick<Rule, "matches" | "onHit">> & { readonly times?: number }): () => number;
  clear(): void;
  close(): Promise<void>;
}

/** Where the proxy itself listens. @default a free port of the loopback address */
export interface ProxyAddress {
  readonly host: string;
  readonly port: number;
}

/** An HTTP proxy in front of a server that does to chosen requests what networks and servers do. */
export async function startFaultProxy(
  target: string,
  { host, port }: ProxyAddress = { host: "127.0.0.1", port: 0 },
): Promise<FaultProxy> {
  const agent = new Agent({ keepAlive: true });
  const seen: SeenRequest[] = [];
  let rules: Rule[] = [];
  let requests = 0;
  const server = createServer((asked, answer) => void handle(asked, answer).catch(() => void asked.socket.destroy()));
  server.keepAliveTimeout = 60_000;

  const handle = async (asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    requests += 1;
    const body = await readAll(asked);
    const facts = { method: asked.method ?? "", path: asked.url ?? "", bodyBytes: body.length };
    const rule = rules.find(({ left, matches }) => left > 0 && matches(facts));
    if (rule !== undefined) rule.left -= 1;
    await rule?.onHit();
    const fault = rule?.fault;
    if (fault?.kind === "status") return void answer.writeHead(fault.status, { "content-length": 0 }).end();
    if (fault?.kind === "reset") return void asked.socket.resetAndDestroy();
    if (fault?.kind === "silence") return;
    if (fault?.kind === "corrupt") body.writeUInt8(body.readUInt8(body.length >> 1) ^ 1, body.length >> 1);
    const got = await forward(asked, body);
    const content = await readAll(got);
    const { statusCode: status = 502 } = got;
    const { authorization } = asked.headers;
    seen.push({ method: facts.method, path: facts.path, authorization, status, answerBytes: content.length });
    if (fault?.kind === "corrupt-answer" && content.length > 0)
      content.writeUInt8(content.readUInt8(content.length >> 1) ^ 1, content.length >> 1);
    if (fault?.kind === "lost-answer") return void asked.socket.resetAndDestroy();
    answer.writeHead(status, got.headers);
    const half = content.subarray(0, content.length >> 1);
    if (fault?.kind === "truncate") return void answer.write(half, () => asked.socket.destroy());
    if (fault?.kind === "stall") return void answer.write(half);
    if (fault?.kind === "slow") {
      for (let at = 0; at < content.length; at += content.length >> 2) {
        answer.write(content.subarray(at, at + (content.length >> 2)));
        await systemClock.sleep(fault.pauseMs);
      }
      return void answer.end();
    }
    answer.end(content);
  };

  const forward = (asked: IncomingMessage, body: Buffer): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const options = { method: asked.method, headers: asked.headers, agent };
      const outgoing = request(new URL(asked.url ?? "/", target), options, resolve);
      outgoing.once("error", reject);
      outgoing.end(body);
    });

  server.listen(port, host);
  await once(server, "listening");
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : 0;
  return {
    origin: `http://${host}:${bound}`,
    requests: () => requests,
    seen: () => seen,
    add(fault, { matches = () => true, onHit = () => undefined, times = 1 } = {}) {
      const rule: Rule = { fault, matches, onHit, left: times };
      rules.push(rule);
      return () => times - rule.left;
    },
    clear: () => void (rules = []),
    async close() {
      agent.destroy();
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}

async function readAll(body: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
