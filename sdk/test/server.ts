import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as the server saw it, its body read. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  /** How many earlier requests had the same method and path. */
  readonly nth: number;
}

export type Handler = (seen: Seen, response: ServerResponse) => void | Promise<void>;

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly seen: Seen[];
  readonly count: (method: string, path: string) => number;
}

/** A server that does what the handler says; it is up to the handler to misbehave. */
export async function startServer(handler: Handler, options: { port?: number } = {}): Promise<TestServer> {
  const seen: Seen[] = [];
  const count = (method: string, path: string): number =>
    seen.filter((entry) => entry.method === method && entry.path === path).length;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://server");
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return; // The client went away while it sent.
    }
    const method = request.method ?? "";
    const entry: Seen = {
      method,
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(chunks),
      nth: count(method, url.pathname),
    };
    seen.push(entry);
    await handler(entry, response);
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    count,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function answerJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

export function answerProblem(
  response: ServerResponse,
  status: number,
  slug: string,
  detail: string,
  headers: Record<string, string> = {},
): void {
  const problem = { type: `urn:atoll:problem:${slug}`, title: slug, status, detail };
  response.writeHead(status, { "content-type": "application/problem+json", ...headers }).end(JSON.stringify(problem));
}

/** Breaks the connection without a regular end. */
export function cut(response: ServerResponse): void {
  response.socket?.destroy();
}

export function frame(kind: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(kind, 0);
  header.writeUInt32BE(payload.length, 1);
  return Buffer.concat([header, payload]);
}

export const dataFrame = (bytes: Uint8Array | string): Buffer =>
  frame(1, typeof bytes === "string" ? Buffer.from(bytes) : bytes);
export const idleFrame = (): Buffer => frame(2);
export function endFrame(totalBytes: number): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64BE(BigInt(totalBytes));
  return frame(3, payload);
}
export function exitedFrame(exitCode: number, stdoutBytes: number, stderrBytes: number): Buffer {
  const payload = Buffer.alloc(20);
  payload.writeInt32BE(exitCode, 0);
  payload.writeBigUint64BE(BigInt(stdoutBytes), 4);
  payload.writeBigUint64BE(BigInt(stderrBytes), 12);
  return frame(7, payload);
}
export const lostFrame = (reason: string): Buffer => frame(4, Buffer.from(reason));

export const FRAMES = { "content-type": "application/vnd.atoll.frames" };

/** A sandbox document as an Atoll server sends it. */
export function sandboxDocument(
  id: string,
  status = "Running",
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    id,
    podTemplate: { containers: [{ name: "sandbox0", image: "debian" }] },
    status,
    creationTimestamp: "2026-11-02T10:00:00Z",
    startupTimeoutSeconds: 90,
    ...more,
  };
}
