import { readFile } from "node:fs/promises";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { connect } from "node:net";
import type { Probe } from "../component.ts";

const ANSWER_WITHIN_MS = 3_000;

/** Asks once whether a component does its work. */
export async function probe(asked: Probe): Promise<boolean> {
  try {
    return await (asked.kind === "socket" ? canConnect(asked.path) : answersOk(asked));
  } catch {
    return false;
  }
}

function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.setTimeout(ANSWER_WITHIN_MS, () => end(false));
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

async function answersOk({ url, certificate }: Probe & { kind: "http" }): Promise<boolean> {
  const tls =
    certificate === undefined ? {} : { cert: await readFile(certificate.cert), key: await readFile(certificate.key) };
  return new Promise((resolve, reject) => {
    const request = url.startsWith("https:") ? requestHttps : requestHttp;
    const options = { ...tls, rejectUnauthorized: false, agent: false, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) };
    const call = request(url, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.once("error", reject);
    call.end();
  });
}
