import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { MOUNTER_CALLS, MOUNTER_PATHS, type MounterLine, type MounterVerb } from "#api/mounter-channel.ts";
import type { Log } from "#core/log.ts";
import { channelFault } from "./channel-fault.ts";
import type { LocalMounter, MounterCall } from "./local-mounter.ts";

const MOST_BODY_BYTES = 16 << 20;
/** Progress is told so often at most, and what nobody reads fast enough is left out. */
const PROGRESS_MS = 100;
const MOST_BUFFERED_BYTES = 1 << 20;

/** Answers the gateway. Nobody else can reach the socket: its folder is closed to others. */
export function createChannelServer(mounter: LocalMounter, log: Log): Server {
  return createServer({ requestTimeout: 0 }, (request, response) => {
    serve(mounter, log, request, response).catch((error: unknown) => {
      log.error("A request of the gateway was not answered", { error });
      response.destroy();
    });
  });
}

async function serve(mounter: LocalMounter, log: Log, request: IncomingMessage, response: ServerResponse) {
  const verb = verbOf(request.url);
  if (verb === undefined || request.method !== "POST") return refuse(response, 404, "There is no such request.");
  const body = await readBody(request);
  const ask = MOUNTER_CALLS[verb].request.safeParse(parseJson(body));
  if (!ask.success) return refuse(response, 422, `The request is malformed: ${ask.error.issues[0]?.message}.`);
  const left = Promise.withResolvers<void>();
  const leaving = new AbortController();
  response.once("close", () => {
    leaving.abort(new Error("The gateway has left the request"));
    left.resolve();
  });
  let told: { phase: string; message?: string | undefined; atMs: number } = { phase: "", atMs: 0 };
  const say = (line: MounterLine): void => void response.write(`${JSON.stringify(line)}\n`);
  const call: MounterCall = {
    signal: leaving.signal,
    left: left.promise,
    onAsked: () => say({ line: "asked" }),
    onPlaced: (archive) => say({ line: "placed", archive }),
    onProgress: (progress) => {
      const nowMs = performance.now();
      const { phase, message } = progress;
      const isNews = phase !== told.phase || message !== told.message || nowMs - told.atMs >= PROGRESS_MS;
      if (!isNews || response.writableLength >= MOST_BUFFERED_BYTES) return;
      told = { phase, message, atMs: nowMs };
      say({ line: "progress", progress });
    },
  };
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  response.flushHeaders();
  try {
    // The schema of this verb has just been met.
    const work = mounter[verb] as (ask: unknown, call: MounterCall) => Promise<unknown>;
    say({ line: "end", answer: await work(ask.data, call) });
  } catch (error) {
    if (leaving.signal.aborted) return;
    const fault = channelFault(error);
    // What has words of its own the gateway tells; of all else the log alone has the reason.
    log[fault.code === "other" ? "warn" : "debug"]("A request of the gateway failed", { verb, error });
    say({ line: "fault", fault });
  }
  // What is held lasts until the gateway leaves.
  if (verb !== "hold") response.end();
}

function verbOf(url: string | undefined): MounterVerb | undefined {
  return (Object.keys(MOUNTER_PATHS) as MounterVerb[]).find((verb) => MOUNTER_PATHS[verb] === url);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BODY_BYTES) throw new RangeError("The request is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { "content-type": "text/plain" }).end(message);
}
