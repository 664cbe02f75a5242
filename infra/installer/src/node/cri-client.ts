import { randomUUID } from "node:crypto";
import { connect as connectHttp2, constants, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import {
  CRI,
  parsePodSandboxId,
  parseStatus,
  podSandboxRequest,
  runPodSandboxRequest,
  statusRequest,
} from "../domain/cri-message.ts";
import type { Call, Cri } from "../ports.ts";
import { pathOnNode } from "./node-files.ts";

const MOST_ANSWER_BYTES = 16 << 20;
const FRAME_HEAD_BYTES = 5;
const STATUS_TIMEOUT_MS = 5000;
const POD_TIMEOUT_MS = 120_000;
const REMOVAL_TIMEOUT_MS = 30_000;

/** Speaks gRPC to containerd on the node whose file system is mounted at `root`. */
export function createCri(root: string): Cri {
  return {
    status: (socket, call) =>
      withSession(root, socket, async (session) =>
        parseStatus(await ask(session, CRI.status, statusRequest(), within(STATUS_TIMEOUT_MS, call))),
      ),

    tryPod: (socket, options, call) =>
      withSession(root, socket, async (session) => {
        const request = runPodSandboxRequest({ ...options, id: randomUUID() });
        const id = parsePodSandboxId(await ask(session, CRI.runPodSandbox, request, within(POD_TIMEOUT_MS, call)));
        // Also when the program is asked to end: it shall leave no pod behind.
        const signal = AbortSignal.timeout(REMOVAL_TIMEOUT_MS);
        await ask(session, CRI.stopPodSandbox, podSandboxRequest(id), signal);
        await ask(session, CRI.removePodSandbox, podSandboxRequest(id), signal);
      }),
  };
}

function within(ms: number, { signal }: Call): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
}

async function withSession<T>(
  root: string,
  socket: string,
  work: (session: ClientHttp2Session) => Promise<T>,
): Promise<T> {
  const path = await pathOnNode(root, socket.replace(/^unix:\/\//, ""));
  const session = connectHttp2("http://localhost", { createConnection: () => connectSocket(path) });
  let fault: Error | undefined;
  session.on("error", (error: Error) => (fault = error));
  try {
    return await work(session);
  } catch (error) {
    throw fault ?? error;
  } finally {
    session.destroy();
  }
}

/** One call of one message each way. */
function ask(session: ClientHttp2Session, path: string, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: path,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    let size = 0;
    let status: { readonly code: string; readonly text: string } | undefined;
    const onHeaders = (headers: IncomingHttpHeaders): void => {
      const [code, text] = [headers["grpc-status"], headers["grpc-message"]];
      if (typeof code === "string")
        status = { code, text: typeof text === "string" ? decodeURIComponent(text) : `gRPC status ${code}` };
    };
    const onAbort = (): void => stream.close(constants.NGHTTP2_CANCEL);
    signal.addEventListener("abort", onAbort, { once: true });
    stream.on("response", onHeaders);
    stream.on("trailers", onHeaders);
    stream.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > MOST_ANSWER_BYTES) stream.destroy(new Error("The answer is too large."));
      else chunks.push(chunk);
    });
    stream.on("error", reject);
    stream.on("close", () => {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) return reject(signal.reason);
      if (status === undefined) return reject(new Error("containerd gave no answer."));
      if (status.code !== "0") return reject(new Error(status.text));
      return resolve(Buffer.concat(chunks).subarray(FRAME_HEAD_BYTES));
    });
    const head = Buffer.alloc(FRAME_HEAD_BYTES);
    head.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([head, message]));
  });
}
