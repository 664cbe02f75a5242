import { KubeConfig } from "@kubernetes/client-node";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { request, type RequestOptions } from "node:https";
import type { AddressInfo, Socket } from "node:net";

/** A way to the API server, without TLS, that can be cut. */
export interface ApiProxy {
  readonly url: string;
  /** Ends what is open and refuses connections, as while an API server restarts; or takes them again. */
  setOpen(isOpen: boolean): Promise<void>;
  /** Loses the answers to the next `count` requests that this is true of, after the API server did them. */
  loseAnswers(count: number, isMeant: (request: IncomingMessage) => boolean): void;
  /**
   * Answers watches as an API server that no longer has the history they ask for: 410 as the status
   * or as the first event, until the same kind has been listed anew. Gives the number of refusals so far.
   */
  loseHistory(how: "status" | "event"): () => number;
  close(): void;
}

const EXPIRED = {
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message: "too old resource version: 1 (2)",
  reason: "Expired",
  code: 410,
};

/** Passes requests on with their own credentials. */
export async function startApiProxy(kubeconfig: string): Promise<ApiProxy> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const cluster = config.getCurrentCluster();
  const target = new URL(cluster?.server ?? "");
  const ca = Buffer.from(cluster?.caData ?? "", "base64");
  const sockets = new Set<Socket>();
  let lost: { readonly count: number; readonly isMeant: (request: IncomingMessage) => boolean } | undefined;

  let history: { readonly how: "status" | "event"; readonly listed: Set<string>; refused: number } | undefined;
  /** True when the request was a watch of history that is lost, and has its answer. */
  const refuseWatch = (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    if (history === undefined || incoming.method !== "GET") return false;
    const { pathname, searchParams } = new URL(incoming.url ?? "", target);
    if (!searchParams.has("watch")) {
      history.listed.add(pathname);
      return false;
    }
    if (history.listed.has(pathname)) return false;
    history.refused += 1;
    outgoing.writeHead(history.how === "status" ? 410 : 200, { "content-type": "application/json" });
    outgoing.end(JSON.stringify(history.how === "status" ? EXPIRED : { type: "ERROR", object: EXPIRED }) + "\n");
    return true;
  };

  const server = createServer((incoming, outgoing) => {
    if (refuseWatch(incoming, outgoing)) return;
    const isLost = lost !== undefined && lost.count > 0 && lost.isMeant(incoming);
    if (isLost && lost !== undefined) lost = { ...lost, count: lost.count - 1 };
    const { authorization, accept, "content-type": type, "content-length": length } = incoming.headers;
    const headers = Object.fromEntries(
      Object.entries({ authorization, accept, "content-type": type, "content-length": length }).filter(
        ([, value]) => value !== undefined,
      ),
    ) as Record<string, string>;
    const options: RequestOptions = { hostname: target.hostname, port: target.port, ca, headers };
    const onward = request({ ...options, method: incoming.method, path: incoming.url }, (answer) => {
      if (isLost) return void answer.resume().once("end", () => incoming.socket.destroy());
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => incoming.socket.destroy());
    outgoing.once("close", () => onward.destroy());
    incoming.pipe(onward);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const listen = async (port: number): Promise<void> => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  };
  const refuse = async (): Promise<void> => {
    const closed = once(server, "close");
    server.close();
    cut();
    await closed;
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async setOpen(isOpen) {
      if (isOpen === server.listening) return;
      await (isOpen ? listen(port) : refuse());
    },
    loseAnswers: (count, isMeant) => void (lost = { count, isMeant }),
    loseHistory(how) {
      const lost = { how, listed: new Set<string>(), refused: 0 };
      history = lost;
      return () => lost.refused;
    },
    close() {
      server.close();
      cut();
    },
  };
}
