import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import { createAgentFetch } from "./agent-fetch.ts";

const BYTES = 5_000_011;
const PIECE_BYTES = 65_537;
const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** Sends requests to an agent that answers so. */
async function agent(listener: RequestListener): Promise<(path: string, init?: RequestInit) => Promise<Response>> {
  const dir = mkdtempSync(join(tmpdir(), "atoll-agent-"));
  const server = createServer(listener);
  const socketPath = join(dir, "agent.sock");
  server.listen(socketPath);
  await once(server, "listening");
  const connection = createAgentFetch({ address: { socketPath }, token: async () => "token" });
  ends.push(
    () => rmSync(dir, { recursive: true }),
    () => server.close(),
    () => server.closeAllConnections(),
    () => connection.close(),
  );
  return (path, init = {}) => connection.fetch(new Request(`http://agent${path}`, init));
}

/** Bytes that tell where they belong, in pieces. */
function* pieces(): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < BYTES; at += PIECE_BYTES) {
    yield Uint8Array.from({ length: Math.min(PIECE_BYTES, BYTES - at) }, (_, i) => ((at + i) * 31) >> 3);
  }
}

const whole = Buffer.concat([...pieces()]);
const streamFrom = (chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> =>
  Readable.toWeb(Readable.from(chunks, { objectMode: true })) as ReadableStream<Uint8Array>;
const upload = (body: ReadableStream<Uint8Array>): RequestInit =>
  ({ method: "PUT", body, duplex: "half" }) as RequestInit;

describe("createAgentFetch", () => {
  it.each([
    { how: "chunked", headers: {}, length: undefined },
    { how: "unchunked when their number is promised", headers: { "Content-Length": `${BYTES}` }, length: `${BYTES}` },
  ])("brings every byte up, $how", async ({ headers, length }) => {
    const received: Buffer[] = [];
    const send = await agent((request, response) => {
      expect(request.headers["content-length"]).toBe(length);
      request.on("data", (chunk: Buffer) => received.push(chunk));
      request.once("end", () => response.writeHead(204).end());
    });
    expect((await send("/", { ...upload(streamFrom(pieces())), headers })).status).toBe(204);
    expect(Buffer.concat(received).equals(whole)).toBe(true);
  });

  it("brings every byte down", async () => {
    const send = await agent((_request, response) => {
      for (const piece of pieces()) response.write(piece);
      response.end();
    });
    expect(Buffer.from(await (await send("/")).arrayBuffer()).equals(whole)).toBe(true);
  });

  it("takes no more than a bounded part of an answer that nobody reads", async () => {
    let taken = 0;
    const send = await agent((request, response) => {
      if (request.url === "/ping") return response.end("pong");
      const give = (): void => {
        while (response.write(Buffer.alloc(PIECE_BYTES))) taken += PIECE_BYTES;
        taken += PIECE_BYTES;
      };
      response.on("drain", give);
      return give();
    });
    const { body } = await send("/");
    // Each exchange lets as much move as would move at all.
    for (let i = 0; i < 100; i += 1) await (await send("/ping")).text();
    expect(taken).toBeLessThan(2_000_000);
    await body?.cancel();
  });

  it("breaks an answer that the agent broke off", async () => {
    const send = await agent((_request, response) => {
      response.write("half", () => response.destroy());
    });
    await expect((await send("/")).text()).rejects.toThrow();
  });

  it.each([
    { how: "chunked", headers: {} },
    { how: "of a promised length", headers: { "Content-Length": `${BYTES}` } },
  ])("breaks the agent's request when the body breaks, $how", async ({ headers }) => {
    const ending = Promise.withResolvers<string>();
    const send = await agent((request) => {
      request.on("data", () => undefined);
      request.once("end", () => ending.resolve("whole"));
      request.once("error", () => ending.resolve("broken"));
    });
    async function* broken(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
      yield new Uint8Array(PIECE_BYTES);
      throw new Error("The caller went away");
    }
    await expect(send("/", { ...upload(streamFrom(broken())), headers })).rejects.toThrow("went away");
    expect(await ending.promise).toBe("broken");
  });

  it("lets go of a body that the agent no longer takes", async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const send = await agent((request, response) => {
      request.once("data", () => {
        response.writeHead(409, { Connection: "close" }).end();
        response.socket?.destroySoon();
      });
    });
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(PIECE_BYTES)),
      cancel: (reason) => cancelled.resolve(reason),
    });
    const outcome = await send("/", upload(endless)).then(
      ({ status }) => status,
      () => "broken",
    );
    expect([409, "broken"]).toContain(outcome);
    expect(await cancelled.promise).toBeInstanceOf(Error);
  });

  it("ends the agent's request when the caller's signal aborts", async () => {
    const gone = Promise.withResolvers<void>();
    const send = await agent((_request, response) => {
      response.write("first");
      response.once("close", () => gone.resolve());
    });
    const caller = new AbortController();
    const { body } = await send("/", { signal: caller.signal });
    const reader = body!.getReader();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("first");
    caller.abort();
    await gone.promise;
    await expect(reader.read()).rejects.toThrow();
  });

  it.each([{ socketPath: "/nonexistent/agent.sock" }, { host: "127.0.0.1", port: 1 }])(
    "says unreachable where nothing listens: %o",
    async (address) => {
      const { fetch } = createAgentFetch({ address, token: async () => "token" });
      await expect(fetch(new Request("http://agent/"))).rejects.toMatchObject({ slug: "agent-unreachable" });
    },
  );

  it("ends what waits, what is read and what comes later when it is closed, with the reason", async () => {
    const server = createServer((request, response) => {
      if (request.url === "/body") response.write("begun");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const connection = createAgentFetch({ address: { host: "127.0.0.1", port }, token: async () => "token" });
    ends.push(
      () => server.close(),
      () => server.closeAllConnections(),
    );
    const send = (path: string): Promise<Response> => connection.fetch(new Request(`http://agent${path}`));
    const reader = (await send("/body")).body?.getReader();
    await reader?.read();
    const arrived = once(server, "request");
    const waiting = send("/silence");
    await arrived;
    const reason = new Error("its sandbox has ended");
    connection.close(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(reader?.read()).rejects.toThrow();
    await expect(send("/later")).rejects.toBe(reason);
  });

  it("reaches an agent by its address as well", async () => {
    const server = createServer((request, response) => response.end(request.headers.authorization));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const connection = createAgentFetch({ address: { host: "127.0.0.1", port }, token: async () => "token" });
    ends.push(
      () => server.close(),
      () => connection.close(),
    );
    expect(await (await connection.fetch(new Request("http://agent/"))).text()).toBe("Bearer token");
  });
});
