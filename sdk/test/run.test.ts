import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import {
  Atoll,
  InvalidResponseError,
  NotFoundError,
  OutcomeUnknownError,
  OutputTooLargeError,
  TimeoutError,
  type Commands,
} from "../src/index.ts";
import {
  answerJson,
  answerProblem,
  cut,
  dataFrame,
  endFrame,
  exitedFrame,
  frame,
  FRAMES,
  idleFrame,
  lostFrame,
  sandboxDocument,
  startServer,
  type Handler,
  type Seen,
  type TestServer,
} from "./server.ts";

const ID = "00000000-0000-4000-8000-000000000000";
const COMMANDS = "/v1/sandboxes/box/commands";
const COMMAND = `${COMMANDS}/${ID}`;
const RUN = { ...FRAMES, "x-command-id": ID };
const OUT = "grüße\r\n";
const ERR = "\ufeffnot so\n";
const RESULT = { id: ID, exitCode: 3, stdout: OUT, stderr: ERR };

const bytesOf = (text: string): Buffer => Buffer.from(text);
const stdoutFrame = (text: string): Buffer => frame(5, bytesOf(text));
const stderrFrame = (text: string): Buffer => frame(6, bytesOf(text));

/** A whole run in frames of several sizes, and one that says nothing. */
const WIRE = Buffer.concat([
  stdoutFrame("gr"),
  frame(5, bytesOf(OUT).subarray(2, 4)),
  stderrFrame(ERR),
  idleFrame(),
  frame(5, bytesOf(OUT).subarray(4)),
  exitedFrame(3, bytesOf(OUT).length, bytesOf(ERR).length),
]);

/** A server with one sandbox whose runs are what `run` does, and whose command can be followed by its id. */
function serveRun(run: Handler): Promise<TestServer> {
  return startServer((seen: Seen, response: ServerResponse) => {
    const from = (text: string): Buffer => {
      const rest = bytesOf(text).subarray(Number(seen.headers["last-event-id"] ?? 0));
      return Buffer.concat([...(rest.length === 0 ? [] : [dataFrame(rest)]), endFrame(bytesOf(text).length)]);
    };
    if (seen.path === COMMANDS) return run(seen, response);
    if (seen.path === "/v1/sandboxes/box") return answerJson(response, 200, sandboxDocument("box"));
    if (seen.path === `${COMMAND}/status`) return answerJson(response, 200, { exitCode: 3 });
    if (seen.path === `${COMMAND}/stdout`) return void response.writeHead(200, FRAMES).end(from(OUT));
    if (seen.path === `${COMMAND}/stderr`) return void response.writeHead(200, FRAMES).end(from(ERR));
    response.writeHead(204).end();
  });
}

async function commandsOn(server: TestServer, options: { requestTimeoutMs?: number } = {}): Promise<Commands> {
  return (await new Atoll({ url: server.url, ...options }).sandboxes.get("box")).commands;
}

async function killed(server: TestServer): Promise<void> {
  await expect.poll(() => server.count("DELETE", COMMAND), { timeout: 5000 }).toBe(1);
}

test("run: one request is the whole run", async () => {
  await using server = await serveRun((_, response) => void response.writeHead(200, RUN).end(WIRE));
  const commands = await commandsOn(server);
  expect(await commands.run(["sh"])).toEqual(RESULT);
  expect(server.seen).toHaveLength(2);
  expect(server.seen[1]?.headers.accept).toMatch(/^application\/vnd\.atoll\.frames, application\/json/);
});

test("run: frames split at every byte give the same run", async () => {
  let at = 0;
  await using server = await serveRun(async (_, response) => {
    response.writeHead(200, RUN);
    response.socket?.setNoDelay(true);
    response.write(WIRE.subarray(0, at));
    await new Promise(setImmediate);
    response.end(WIRE.subarray(at));
  });
  const commands = await commandsOn(server);
  for (at = 0; at <= WIRE.length; at++) expect(await commands.run(["sh"])).toEqual(RESULT);
  expect(server.seen).toHaveLength(1 + WIRE.length + 1);
});

test("run: cut at every byte it goes on by offset, and is started once", async () => {
  let at = 0;
  await using server = await serveRun(async (_, response) => {
    response.writeHead(200, RUN);
    response.flushHeaders();
    if (at > 0) await new Promise<void>((resolve) => response.write(WIRE.subarray(0, at), () => resolve()));
    // What was written has left before the connection breaks.
    await new Promise((resolve) => setTimeout(resolve, 5));
    cut(response);
  });
  const commands = await commandsOn(server);
  for (at = 0; at < WIRE.length; at++) expect(await commands.run(["sh"]), `cut at ${at}`).toEqual(RESULT);
  expect(server.count("POST", COMMANDS)).toBe(WIRE.length);
  expect(server.count("DELETE", COMMAND)).toBe(0);
}, 30_000);

test("run: an answer that ends without its last frame is a cut one", async () => {
  await using server = await serveRun((_, response) => void response.writeHead(200, RUN).end(stdoutFrame("gr")));
  expect(await (await commandsOn(server)).run(["sh"])).toEqual(RESULT);
});

test("run: a start that was cut before its head is repeated with its key", async () => {
  await using server = await serveRun((seen, response) => {
    if (seen.nth < 2) cut(response);
    else response.writeHead(200, RUN).end(WIRE);
  });
  expect(await (await commandsOn(server)).run(["sh"])).toEqual(RESULT);
  const keys = server.seen.filter(({ path }) => path === COMMANDS).map(({ headers }) => headers["idempotency-key"]);
  expect([keys.length, new Set(keys).size]).toEqual([3, 1]);
});

test("run: a silent answer is left after requestTimeoutMs and followed by its id, an idle one is kept", async () => {
  await using server = await serveRun(async (seen, response) => {
    response.writeHead(200, RUN).write(stdoutFrame("gr"));
    if (seen.nth === 0) return void (await new Promise((resolve) => response.on("close", resolve)));
    for (let round = 0; round < 6; round++) {
      response.write(idleFrame());
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    response.end(WIRE.subarray(stdoutFrame("gr").length));
  });
  const commands = await commandsOn(server, { requestTimeoutMs: 200 });
  expect(await commands.run(["sh"])).toEqual(RESULT);
  const before = server.seen.length;
  expect(await commands.run(["sh"])).toEqual(RESULT);
  expect(server.seen).toHaveLength(before + 1);
});

test.each([
  ["an unknown kind", frame(9)],
  ["a frame of an output stream", dataFrame("x")],
  ["a frame that is too long", Buffer.from([5, 0, 0x10, 0, 1])],
  ["an end of the wrong size", frame(7, Buffer.alloc(8))],
  ["too few bytes of standard output", exitedFrame(0, 1, 0)],
  ["too many bytes of standard error", Buffer.concat([stderrFrame("x"), exitedFrame(0, 0, 0)])],
  ["bytes after the end", Buffer.concat([exitedFrame(0, 0, 0), idleFrame()])],
])("run: %s is InvalidResponseError and kills the command", async (_, wire) => {
  await using server = await serveRun((_seen, response) => void response.writeHead(200, RUN).end(wire));
  await expect((await commandsOn(server)).run(["sh"])).rejects.toBeInstanceOf(InvalidResponseError);
  await killed(server);
});

test("run: frames without a command's id are InvalidResponseError", async () => {
  await using server = await serveRun((_, response) => void response.writeHead(200, FRAMES).end(WIRE));
  await expect((await commandsOn(server)).run(["sh"])).rejects.toBeInstanceOf(InvalidResponseError);
});

test("run: a lost end is OutcomeUnknownError, never an exit code", async () => {
  await using server = await serveRun(
    (_, response) => void response.writeHead(200, RUN).end(Buffer.concat([stdoutFrame("x"), lostFrame("Restarted.")])),
  );
  const failure = (await commandsOn(server)).run(["sh"]);
  await expect(failure).rejects.toBeInstanceOf(OutcomeUnknownError);
  await expect(failure).rejects.toThrow("Restarted.");
});

test("run: a refusal is thrown as it is, and nothing is killed", async () => {
  await using server = await serveRun((_, response) => answerProblem(response, 404, "sandbox-not-found", "Gone."));
  await expect((await commandsOn(server)).run(["sh"])).rejects.toEqual(expect.any(NotFoundError));
  expect(server.seen).toHaveLength(2);
});

test.each(["stdout", "stderr"])("run: more %s than maxOutputBytes kills the command", async (name) => {
  const wire = name === "stdout" ? stdoutFrame("12345") : stderrFrame("12345");
  await using server = await serveRun((_, response) => void response.writeHead(200, RUN).write(wire));
  const running = (await commandsOn(server)).run(["yes"], { maxOutputBytes: 4 });
  await expect(running).rejects.toBeInstanceOf(OutputTooLargeError);
  await killed(server);
});

test("run: giving up and timeoutMs end the answer and kill the command", async () => {
  let closed = 0;
  const controller = new AbortController();
  await using server = await serveRun((seen, response) => {
    response.on("close", () => (closed += 1));
    response.writeHead(200, RUN).write(stdoutFrame("x"));
    if (seen.nth === 0) controller.abort(new Error("too slow"));
  });
  const commands = await commandsOn(server);
  await expect(commands.run(["sleep"], { signal: controller.signal })).rejects.toThrow("too slow");
  await expect(commands.run(["sleep"], { timeoutMs: 100 })).rejects.toBeInstanceOf(TimeoutError);
  await expect.poll(() => closed).toBe(2);
  expect(server.count("DELETE", COMMAND)).toBeGreaterThan(0);
});

test("run: with input the command is only started, then fed and followed", async () => {
  await using server = await serveRun((_, response) => answerJson(response, 202, { id: ID }));
  expect(await (await commandsOn(server)).run(["cat"], { input: "x" })).toEqual(RESULT);
  expect(server.seen[1]?.headers.accept).toBe("application/json");
  expect(server.count("POST", `${COMMAND}/stdin/close`)).toBe(1);
});
