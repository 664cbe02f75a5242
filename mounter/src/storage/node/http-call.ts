import * as http from "node:http";
import * as https from "node:https";
import type { StallAgents } from "./stall-agents.ts";

export interface HttpCall {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface HttpAnswer {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  /** Fails when it is cut before its announced end. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** One request; the signal ends it and its body. */
export function callHttp(
  { method, url, headers, body }: HttpCall,
  agents: StallAgents,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const isTls = url.protocol === "https:";
    const options = { method, headers, signal, agent: isTls ? agents.https : agents.http };
    const request = isTls ? https.request(url, options) : http.request(url, options);
    request.once("error", reject);
    request.once("response", (answer) =>
      resolve({
        status: answer.statusCode ?? 0,
        header: (name) => {
          const value = answer.headers[name];
          return Array.isArray(value) ? value[0] : value;
        },
        body: answer,
      }),
    );
    if (body !== undefined) request.setHeader("content-length", body.length);
    request.end(body);
  });
}

/** The text of a short body; what is longer is cut. */
export async function readText(body: AsyncIterable<Uint8Array>, mostBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > mostBytes) return text.slice(0, mostBytes);
  }
  return text + decoder.decode();
}
