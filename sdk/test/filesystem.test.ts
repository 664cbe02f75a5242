import { expect, test } from "vitest";
import { Atoll, ConnectionError, NotFoundError, TimeoutError, type Filesystem } from "../src/index.ts";
import {
  answerJson,
  answerProblem,
  cut,
  sandboxDocument,
  startServer,
  type Handler,
  type TestServer,
} from "./server.ts";

const FILES = "/v1/sandboxes/box/filesystem";

function serveFiles(files: Handler): Promise<TestServer> {
  return startServer((seen, response) =>
    seen.path === FILES ? files(seen, response) : answerJson(response, 200, sandboxDocument("box")),
  );
}

async function filesOn(server: TestServer, options: { requestTimeoutMs?: number } = {}): Promise<Filesystem> {
  return (await new Atoll({ url: server.url, ...options }).sandboxes.get("box")).filesystem;
}

const content = (sizeBytes: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 31) ^ (at >> 8)));

test.each([0, 1, 65_536, 3_000_000])("read: a file of %i bytes, with and without a length", async (sizeBytes) => {
  const bytes = content(sizeBytes);
  await using server = await serveFiles((seen, response) => {
    response.writeHead(200, seen.nth === 0 ? { "content-length": sizeBytes } : {});
    response.write(bytes.subarray(0, sizeBytes / 2));
    response.end(bytes.subarray(sizeBytes / 2));
  });
  const files = await filesOn(server);
  expect(bytes.equals(await files.read("/a b/c+d", { container: "c" }))).toBe(true);
  expect(bytes.equals(await files.read("/a"))).toBe(true);
  expect(server.seen[1]?.query.get("path")).toBe("/a b/c+d");
  expect(server.seen[1]?.query.get("container")).toBe("c");
});

test("read: a download cut short is made again, whole", async () => {
  await using server = await serveFiles((seen, response) => {
    response.writeHead(200, { "content-length": 10 });
    if (seen.nth === 0) response.write("01234", () => cut(response));
    else response.end("0123456789");
  });
  expect(new TextDecoder().decode(await (await filesOn(server)).read("/a"))).toBe("0123456789");
});

test("read: a stalled download is TimeoutError", async () => {
  await using server = await serveFiles((_, response) => void response.writeHead(200).write("x"));
  const { sandboxes } = new Atoll({ url: server.url, requestTimeoutMs: 80, maxRetries: 0 });
  await expect((await sandboxes.get("box")).filesystem.read("/a")).rejects.toBeInstanceOf(TimeoutError);
});

test("read: a missing file is NotFoundError", async () => {
  await using server = await serveFiles((_, response) =>
    answerProblem(response, 404, "file-not-found", "There is no /a."),
  );
  await expect((await filesOn(server)).read("/a")).rejects.toBeInstanceOf(NotFoundError);
});

test("readStream: bytes arrive as they come, and a cut is an error, not an end", async () => {
  await using server = await serveFiles((seen, response) => {
    response.writeHead(200, seen.nth === 0 ? { "content-length": 6 } : {});
    if (seen.nth === 0) response.end("abcdef");
    else response.write("abc", () => cut(response));
  });
  const files = await filesOn(server);
  expect(await new Response(await files.readStream("/a")).text()).toBe("abcdef");
  await expect(new Response(await files.readStream("/a")).text()).rejects.toBeInstanceOf(ConnectionError);
});

test("readStream: a slow consumer is no stall, cancelling ends the connection", async () => {
  const ended = Promise.withResolvers<void>();
  await using server = await serveFiles((_, response) => {
    response.on("close", ended.resolve).writeHead(200).write(content(100_000));
  });
  const reader = (await (await filesOn(server, { requestTimeoutMs: 60 })).readStream("/a")).getReader();
  expect((await reader.read()).done).toBe(false);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await reader.cancel();
  await ended.promise;
});

test("write: every kind of data arrives unchanged", async () => {
  const bodies: string[] = [];
  await using server = await serveFiles(({ body }, response) => {
    bodies.push(body.toString("latin1"));
    response.writeHead(204).end();
  });
  const files = await filesOn(server);
  async function* pieces(): AsyncGenerator<string | Uint8Array> {
    yield "a";
    yield new Uint8Array();
    yield new Uint8Array([255]);
  }
  await files.write("/a", "ü");
  await files.write("/a", new Uint8Array([1, 2, 3, 4]).subarray(1, 3));
  await files.write("/a", new Uint8Array([5, 6]).buffer);
  await files.write("/a", new Blob(["blob"]));
  await files.write("/a", pieces());
  await files.write("/a", new Blob(["stream"]).stream());
  await files.write("/a", "");
  expect(bodies).toEqual(["\u00c3\u00bc", "\u0002\u0003", "\u0005\u0006", "blob", "a\u00ff", "stream", ""]);
  const [first, ...others] = server.seen.slice(1);
  expect(first?.headers).toMatchObject({ "content-type": "application/octet-stream", "content-length": "2" });
  expect(others.map(({ headers }) => headers["content-length"])).toEqual(["2", "2", "4", undefined, undefined, "0"]);
});

test("write: whole data is sent again after a cut, a stream is not", async () => {
  await using server = await serveFiles((seen, response) => {
    if (seen.nth === 1) response.writeHead(204).end();
    else cut(response);
  });
  const files = await filesOn(server);
  await files.write("/a", "x");
  await expect(files.write("/a", new Blob(["x"]).stream())).rejects.toBeInstanceOf(ConnectionError);
  expect(server.count("POST", FILES)).toBe(3);
});

test("write: a source that fails rejects with its own error", async () => {
  await using server = await serveFiles((_, response) => void response.writeHead(204).end());
  const fault = new Error("the disk is on fire");
  async function* pieces(): AsyncGenerator<string> {
    yield "a";
    throw fault;
  }
  await expect((await filesOn(server)).write("/a", pieces())).rejects.toBe(fault);
});

test("write: a slow source is no stall", async () => {
  await using server = await serveFiles(({ body }, response) => void response.writeHead(204).end(String(body)));
  async function* pieces(): AsyncGenerator<string> {
    yield "a";
    await new Promise((resolve) => setTimeout(resolve, 250));
    yield "b";
  }
  await (await filesOn(server, { requestTimeoutMs: 100 })).write("/a", pieces());
  expect(server.seen[1]?.body.toString()).toBe("ab");
});
