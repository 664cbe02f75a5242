import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { StatusAnswer } from "#core/node/serve-status.ts";
import { parseHoldPath, type HoldQuestion } from "../control/hold-path.ts";

export interface KubeletServerOptions {
  /** On the loopback address; 0 chooses a free one. */
  readonly port: number;
  /** Questions that are held at once; kubelet asks again for what is beyond. */
  readonly mostHeld: number;
  /** Answers of fixed paths. */
  readonly routes: Readonly<Record<string, () => StatusAnswer | Promise<StatusAnswer>>>;
  /** Resolves when the answer is yes. */
  readonly hold: (question: HoldQuestion, signal: AbortSignal) => Promise<void>;
}

export interface KubeletServer {
  readonly port: number;
  /** Questions that are held. */
  readonly held: number;
  /** Ends what is held without a yes. */
  close(): Promise<void>;
}

const LOOPBACK = "127.0.0.1";
/** Longest a request may take to arrive: kubelet sends a line. */
const REQUEST_MS = 5000;
/** Beside what is held: probes of the program itself, and whoever reads its numbers. */
const OTHER_CONNECTIONS = 64;

/**
 * Answers the kubelet of this node, and nobody elsewhere: it listens on the loopback address alone. A
 * question about a sandbox is held open until the answer is yes; there is no other.
 */
export async function serveKubelet(options: KubeletServerOptions): Promise<KubeletServer> {
  const { port, mostHeld, routes, hold } = options;
  const over = new AbortController();
  let held = 0;

  const holdOpen = async (question: HoldQuestion, response: ServerResponse): Promise<void> => {
    if (held >= mostHeld || over.signal.aborted) return answer(response, { status: 503, text: "Ask again\n" });
    const left = new AbortController();
    const leave = (): void => left.abort(LEFT);
    response.once("close", leave);
    over.signal.addEventListener("abort", leave, { once: true });
    held += 1;
    try {
      await hold(question, left.signal);
      answer(response, { status: 200, text: "ok\n" });
    } catch {
      answer(response, { status: 503, text: "Ask again\n" });
    } finally {
      held -= 1;
      over.signal.removeEventListener("abort", leave);
    }
  };
  const server = createServer({ headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS }, (request, response) => {
    request.resume();
    const path = request.url ?? "";
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    const question = parseHoldPath(path);
    if (route === undefined && question === undefined) return answer(response, { status: 404, text: "Not found\n" });
    if (!isPlainGet(request)) return answer(response, { status: 405, text: "Only GET is served\n" });
    if (question !== undefined) return void holdOpen(question, response);
    Promise.resolve()
      .then(route)
      .then(
        (result) => answer(response, result ?? { status: 500, text: "The answer failed\n" }),
        () => answer(response, { status: 500, text: "The answer failed\n" }),
      );
  });
  server.maxConnections = mostHeld + OTHER_CONNECTIONS;
  server.listen(port, LOOPBACK);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get held() {
      return held;
    },
    async close() {
      over.abort(LEFT);
      server.close();
      await new Promise((resolve) => setImmediate(resolve));
      server.closeAllConnections();
    },
  };
}

function isPlainGet({ method, headers }: IncomingMessage): boolean {
  return method === "GET" && headers["content-length"] === undefined && headers["transfer-encoding"] === undefined;
}

function answer(
  response: ServerResponse,
  { status, text, contentType = "text/plain; charset=utf-8" }: StatusAnswer,
): void {
  if (response.writableEnded || response.destroyed) return;
  response.writeHead(status, { "content-type": contentType, connection: "close" }).end(text);
}

const LEFT = new Error("Nobody waits for the answer any more");
