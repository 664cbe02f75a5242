import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";

/** The store keeps whole multiples of this of a part that is not the last. */
const GRAIN = 1 << 18;
const GOES_ON = 308;
const ENDED = 499;

interface Session {
  bytes: Buffer;
  puts: number;
  done?: { readonly status: number; readonly text: string };
}

/**
 * Resumable uploads as Google documents them, in front of a server of the same API whose sessions end
 * when they are asked how far they are. All else passes. The second part of each session is kept only
 * in half, as the store may do.
 */
export async function startGcsSessions(target: string): Promise<{ origin: string; close(): Promise<void> }> {
  const sessions = new Map<string, Session>();
  const server = createServer((asked, answer) => void handle(asked, answer).catch(() => void asked.socket.destroy()));
  server.keepAliveTimeout = 60_000;

  const handle = async (asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const body = await readAll(asked);
    const id = new URL(asked.url ?? "/", target).searchParams.get("upload_id");
    const session = id === null ? undefined : sessions.get(id);
    if (id === null || asked.method === "POST") return pass(asked, body, answer);
    if (session === undefined) return void answer.writeHead(404).end();
    if (asked.method === "DELETE") {
      sessions.delete(id);
      return void answer.writeHead(ENDED).end();
    }
    await put(session, asked, body, answer);
  };

  const pass = async (asked: IncomingMessage, body: Buffer, answer: ServerResponse): Promise<void> => {
    const got = await forward(asked, body, asked.headers);
    const content = await readAll(got);
    const { location } = got.headers;
    const id = location === undefined ? null : new URL(location).searchParams.get("upload_id");
    if (id !== null) sessions.set(id, { bytes: Buffer.alloc(0), puts: 0 });
    answer.writeHead(got.statusCode ?? 502, got.headers).end(content);
  };

  const put = async (session: Session, asked: IncomingMessage, body: Buffer, answer: ServerResponse): Promise<void> => {
    if (session.done !== undefined) return void answer.writeHead(session.done.status).end(session.done.text);
    const range = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(asked.headers["content-range"] ?? "");
    const [, from, , total = "*"] = range ?? [];
    if (range === null || Number(from ?? 0) > session.bytes.length) return void answer.writeHead(400).end();
    if (from !== undefined) {
      const whole = Buffer.concat([session.bytes.subarray(0, Number(from)), body]);
      session.puts += 1;
      if (whole.length > session.bytes.length) session.bytes = whole;
      if (total === String(whole.length)) return finish(session, asked, answer);
      const kept = session.puts === 2 ? whole.length - (body.length >> 1) : whole.length;
      session.bytes = whole.subarray(0, kept - (kept % GRAIN));
    }
    const headers = session.bytes.length === 0 ? {} : { range: `bytes=0-${session.bytes.length - 1}` };
    answer.writeHead(GOES_ON, headers).end();
  };

  const finish = async (session: Session, asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const { bytes } = session;
    const digest = createHash("md5").update(bytes).digest("base64");
    const said = asked.headers["x-goog-hash"];
    if (said !== undefined && said !== `md5=${digest}`) return void answer.writeHead(400).end();
    const headers = { "content-range": `bytes 0-${bytes.length - 1}/${bytes.length}`, "content-length": bytes.length };
    const got = await forward(asked, bytes, headers);
    const done = { status: got.statusCode ?? 502, text: String(await readAll(got)) };
    session.done = done;
    answer.writeHead(done.status).end(done.text);
  };

  const forward = (asked: IncomingMessage, body: Buffer, headers: object): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        new URL(asked.url ?? "/", target),
        { method: asked.method, headers: { ...headers } },
        resolve,
      );
      outgoing.once("error", reject);
      outgoing.end(body);
    });

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    origin: `http://127.0.0.1:${port}`,
    async close() {
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
