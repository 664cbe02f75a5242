import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ListenAddress } from "#api/environment.ts";

/** The answer to a GET of one path. */
export interface StatusAnswer {
  readonly status: number;
  readonly text: string;
  readonly contentType?: string;
}

export interface StatusServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Longest a request may take to arrive: scrapers and the kubelet send a line. */
const REQUEST_MS = 5000;
const MOST_CONNECTIONS = 128;

/** Answers GETs of fixed paths: metrics, and what the kubelet asks. */
export async function serveStatus(
  { hostname, port }: ListenAddress,
  routes: Readonly<Record<string, () => StatusAnswer | Promise<StatusAnswer>>>,
): Promise<StatusServer> {
  const server = createServer({ headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS }, (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    request.resume();
    if (route === undefined) return answer(response, { status: 404, text: "Not found\n" });
    if (request.method !== "GET") return answer(response, { status: 405, text: "Only GET is served\n" });
    Promise.resolve()
      .then(route)
      .then(
        (result) => answer(response, result),
        () => answer(response, { status: 500, text: "The answer failed\n" }),
      );
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.listen(port, hostname);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function answer(
  response: ServerResponse,
  { status, text, contentType = "text/plain; charset=utf-8" }: StatusAnswer,
): void {
  response.writeHead(status, { "content-type": contentType }).end(text);
}
