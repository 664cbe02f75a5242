import { readFile } from "node:fs/promises";
import { request } from "node:https";
import type { IncomingMessage } from "node:http";
import type { KubeFetch } from "#core/kubernetes/client.ts";
import { UnsentError } from "#core/kubernetes/kube-error.ts";

export interface InClusterOptions {
  /** Of the API server. */
  readonly host: string;
  readonly port: number;
  /** Folder with `ca.crt` and `token`, which the kubelet renews. */
  readonly accountDir: string;
}

/** The way to the API server from a pod. A handful of requests an hour: each has a connection of its own and reads the account anew. */
export function createInClusterFetch({ host, port, accountDir }: InClusterOptions): KubeFetch {
  return async (path, { method = "GET", headers, body, signal }) => {
    const [ca, token] = await Promise.all(["ca.crt", "token"].map((name) => readFile(`${accountDir}/${name}`, "utf8")));
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = request({
        host,
        port,
        path,
        method,
        ca,
        agent: false,
        headers: { ...Object.fromEntries(new Headers(headers)), authorization: `Bearer ${(token ?? "").trim()}` },
        ...(signal === null || signal === undefined ? {} : { signal }),
      });
      let isConnected = false;
      outgoing.on("socket", (socket) => socket.once("secureConnect", () => (isConnected = true)));
      outgoing.on("response", resolve);
      outgoing.on("error", (error) => reject(isConnected ? error : new UnsentError(error.message, error)));
      outgoing.end(typeof body === "string" ? body : undefined);
    });
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    const type = answer.headers["content-type"];
    return new Response(chunks.length === 0 ? null : Buffer.concat(chunks), {
      status: answer.statusCode ?? 0,
      headers: type === undefined ? {} : { "content-type": type },
    });
  };
}
