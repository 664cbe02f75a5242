import { expect, test } from "vitest";
import { Atoll, GoneError, InvalidResponseError, OutcomeUnknownError, type Command } from "../src/index.ts";
import {
  answerJson,
  answerProblem,
  cut,
  dataFrame,
  endFrame,
  frame,
  FRAMES,
  idleFrame,
  lostFrame,
  sandboxDocument,
  startServer,
  type Handler,
  type TestServer,
} from "./server.ts";

const ID = "00000000-0000-4000-8000-000000000000";
const STDOUT = `/v1/sandboxes/box/commands/${ID}/stdout`;

/** A server with one sandbox and one command whose stdout is what `stdout` does. */
function serveStdout(stdout: Handler): Promise<TestServer> {
  return startServer((seen, response) => {
    if (seen.path === STDOUT) return stdout(seen, response);
    if (seen.path === "/v1/sandboxes/box") return answerJson(response, 200, sandboxDocument("box"));
    if (seen.method === "POST") return answerJson(response, 202, { id: ID });
    return answerProblem(response, 404, "not-found", "There is nothing here.");
  });
}

async function spawnOn(
  server: TestServer,
  options: { requestTimeoutMs?: number; maxRetries?: number } = {},
): Promise<Command> {
  const sandbox = await new Atoll({ url: server.url, ...options }).sandboxes.get("box");
  return sandbox.commands.spawn(["true"]);
}

async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

const offsetOf = (headers: Record<string, unknown>): number => Number(headers["last-event-id"] ?? 0);

test("stdout: frames split at every byte give the same bytes", async () => {
  const wire = Buffer.concat([
    dataFrame("grüße\r\n"),
    idleFrame(),
    dataFrame(""),
    dataFrame(Uint8Array.of(0, 255, 10)),
    endFrame(12),
  ]);
  let at = 0;
  await using server = await serveStdout(async (_, response) => {
    response.writeHead(200, FRAMES);
    response.socket?.setNoDelay(true);
    response.write(wire.subarray(0, at));
    await new Promise(setImmediate);
    response.end(wire.subarray(at));
  });
  const command = await spawnOn(server);
  for (at = 0; at <= wire.length; at++) {
    const sandboxed = await (await new Atoll({ url: server.url }).sandboxes.get("box")).commands.spawn(["true"]);
    expect(await bytesOf(sandboxed.stdoutBytes)).toEqual(Buffer.from([...Buffer.from("grüße\r\n"), 0, 255, 10]));
  }
  expect(command.id).toBe(ID);
});

test("stdout: a connection cut at every byte resumes at the offset and gives each byte once", async () => {
  const output = Buffer.from("The quick brown fox – über den faulen Hund\n");
  await using server = await serveStdout((seen, response) => {
    const offset = offsetOf(seen.headers);
    response.writeHead(200, FRAMES);
    if (offset === output.length) return void response.end(endFrame(output.length));
    // One byte arrives whole, the frame behind it does not.
    response.write(
      Buffer.concat([dataFrame(output.subarray(offset, offset + 1)), frame(1, Buffer.alloc(9)).subarray(0, 3)]),
      () => cut(response),
    );
  });
  const command = await spawnOn(server);
  expect(await bytesOf(command.stdoutBytes)).toEqual(output);
  expect(server.count("GET", STDOUT)).toBe(output.length + 1);
});

test("stdout: a cut inside a data frame keeps the part that arrived", async () => {
  const output = Buffer.alloc(300_000, "abcdefg");
  await using server = await serveStdout((seen, response) => {
    const offset = offsetOf(seen.headers);
    response.writeHead(200, FRAMES);
    const wire = Buffer.concat([dataFrame(output.subarray(offset)), endFrame(output.length)]);
    if (offset > 200_000) response.end(wire);
    else response.write(wire.subarray(0, 70_000), () => cut(response));
  });
  expect(await bytesOf((await spawnOn(server)).stdoutBytes)).toEqual(output);
});

test("stdout: the regular end of a body without an END frame is a cut, not the end", async () => {
  await using server = await serveStdout((seen, response) => {
    response.writeHead(200, FRAMES);
    response.end(seen.nth === 0 ? dataFrame("half") : Buffer.concat([dataFrame(" whole"), endFrame(10)]));
  });
  expect(await (await spawnOn(server)).stdout.read()).toBe("half whole");
  expect(server.seen.at(-1)?.headers["last-event-id"]).toBe("4");
});

test("stdout: a silent connection is opened again, one that only idles is kept", async () => {
  await using server = await serveStdout((seen, response) => {
    response.writeHead(200, FRAMES);
    if (seen.nth === 0) return void response.write(dataFrame("a"));
    const timer = setInterval(() => response.write(idleFrame()), 40);
    setTimeout(() => (clearInterval(timer), response.end(Buffer.concat([dataFrame("b"), endFrame(2)]))), 900);
  });
  const command = await spawnOn(server, { requestTimeoutMs: 300 });
  expect(await command.stdout.read()).toBe("ab");
  expect(server.count("GET", STDOUT)).toBe(2);
});

test("stdout: 503 while reconnecting is waited out as Retry-After asks", async () => {
  await using server = await serveStdout((seen, response) => {
    if (seen.nth === 1) return answerProblem(response, 503, "unavailable", "Later.", { "retry-after": "0" });
    response.writeHead(200, FRAMES);
    if (seen.nth === 0) response.write(dataFrame("a"), () => cut(response));
    else response.end(Buffer.concat([dataFrame("b"), endFrame(2)]));
  });
  expect(await (await spawnOn(server)).stdout.read()).toBe("ab");
});

test("stdout: connections without progress end after maxRetries", async () => {
  await using server = await serveStdout((_, response) => cut(response));
  const command = await spawnOn(server, { maxRetries: 2 });
  await expect(command.stdout.read()).rejects.toMatchObject({ name: "ConnectionError" });
  expect(server.count("GET", STDOUT)).toBe(3);
});

test("stdout: LOST is OutcomeUnknownError with the server's reason, after the bytes that exist", async () => {
  await using server = await serveStdout((_, response) => {
    response.writeHead(200, FRAMES).end(Buffer.concat([dataFrame("kept"), lostFrame("The agent restarted.")]));
  });
  const seen: string[] = [];
  const reading = (async () => {
    for await (const text of (await spawnOn(server)).stdout) seen.push(text);
  })();
  const failure = await reading.catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(OutcomeUnknownError);
  expect(failure).toMatchObject({
    message: "The agent restarted.",
    status: 409,
    slug: "outcome-unknown",
    path: STDOUT,
  });
  expect(seen.join("")).toBe("kept");
});

test("stdout: bytes that are gone are GoneError with the first byte kept", async () => {
  await using server = await serveStdout((_, response) => {
    const problem = { type: "urn:atoll:problem:output-gone", status: 410, detail: "Gone.", firstByte: 77 };
    response.writeHead(410, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
  });
  const failure = await (await spawnOn(server)).stdout.read().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(GoneError);
  expect(failure).toMatchObject({ firstByte: 77, slug: "output-gone" });
});

test.each([
  ["an unknown kind", frame(9)],
  ["a frame above 1 MiB", Buffer.from([1, 0, 16, 0, 1])],
  ["an END of the wrong size", frame(3, Buffer.alloc(4))],
  ["an END with another length", endFrame(5)],
  ["bytes after END", Buffer.concat([dataFrame("x"), frame(7)])],
])("stdout: %s is InvalidResponseError", async (_, wire) => {
  await using server = await serveStdout((_seen, response) => void response.writeHead(200, FRAMES).end(wire));
  await expect((await spawnOn(server)).stdout.read()).rejects.toBeInstanceOf(InvalidResponseError);
});

test("stdout: characters split over frames are put together, broken ones become U+FFFD, a BOM stays", async () => {
  const output = Buffer.concat([Buffer.from("\uFEFFa€😀"), Buffer.from([0xff, 0x62, 0xe2, 0x82])]);
  await using server = await serveStdout((_, response) => {
    response.writeHead(200, FRAMES);
    for (const byte of output) response.write(dataFrame(Uint8Array.of(byte)));
    response.end(endFrame(output.length));
  });
  const command = await spawnOn(server);
  let text = "";
  for await (const piece of command.stdout) text += piece;
  expect(text).toBe("\uFEFFa€😀\uFFFDb\uFFFD");
  expect(await command.stdout.read()).toBe(text);
});

test("stdoutBytes: a consumer that does not read holds the server back", async () => {
  let written = 0;
  const held = Promise.withResolvers<void>();
  const piece = dataFrame(Buffer.alloc(1 << 20));
  await using server = await serveStdout(async (_, response) => {
    response.writeHead(200, FRAMES);
    for (let left = 256; left > 0 && !response.destroyed; left--) {
      written += piece.length;
      if (response.write(piece)) continue;
      const timer = setTimeout(() => held.resolve(), 500);
      await new Promise<void>((resolve) => response.once("drain", resolve).once("close", resolve));
      clearTimeout(timer);
    }
  });
  const reader = (await spawnOn(server)).stdoutBytes.getReader();
  await reader.read();
  await held.promise;
  expect(written).toBeLessThan(32 << 20);
  await reader.cancel();
});

test("stdoutBytes: cancelling while waiting ends the connection", async () => {
  const opened = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  await using server = await serveStdout((_, response) => {
    response.on("close", ended.resolve).writeHead(200, FRAMES).flushHeaders();
    opened.resolve();
  });
  const reader = (await spawnOn(server)).stdoutBytes.getReader();
  const pending = reader.read();
  await opened.promise;
  await reader.cancel();
  expect((await pending).done).toBe(true);
  await ended.promise;
});

test("stdout.iter: the caller's signal ends the wait with its reason", async () => {
  const controller = new AbortController();
  await using server = await serveStdout((_, response) => {
    response.writeHead(200, FRAMES).write(dataFrame("x"));
  });
  const command = await spawnOn(server);
  const reason = new Error("enough");
  const reading = (async () => {
    for await (const _ of command.stdout.iter({ signal: controller.signal })) controller.abort(reason);
  })();
  await expect(reading).rejects.toBe(reason);
});

test("stdout: a server that only has event streams is read, cut and resumed by event id", async () => {
  await using server = await serveStdout((seen, response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    if (seen.nth === 0)
      return void response.write("data: h\u00e9llo\ndata: \nid: 7\n\n: keepalive\n\ndata: lost", () => cut(response));
    response.end("data:  two\r\ndata: lines\r\nid: 18\r\n\r\ndata: not finished");
  });
  expect(await (await spawnOn(server)).stdout.read()).toBe("h\u00e9llo\n two\nlines");
  expect(server.seen.at(-1)?.headers["last-event-id"]).toBe("7");
  expect(server.seen.at(-1)?.headers.accept).toMatch(/^application\/vnd\.atoll\.frames, text\/event-stream/);
});
