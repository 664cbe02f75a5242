import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import {
  Atoll,
  ConflictError,
  ConnectionError,
  OutputTooLargeError,
  TimeoutError,
  type Sandbox,
} from "../src/index.ts";
import {
  answerJson,
  answerProblem,
  cut,
  dataFrame,
  endFrame,
  FRAMES,
  sandboxDocument,
  startServer,
  type Handler,
  type Seen,
  type TestServer,
} from "./server.ts";

const ID = "00000000-0000-4000-8000-000000000000";
const COMMANDS = "/v1/sandboxes/box/commands";
const COMMAND = `${COMMANDS}/${ID}`;

function output(response: ServerResponse, text: string): void {
  response.writeHead(200, FRAMES).end(Buffer.concat([dataFrame(text), endFrame(Buffer.byteLength(text))]));
}

/** A server with one sandbox whose command prints `out` and `err` and ends with 3; `special` may answer first. */
function serveCommand(special: (...args: Parameters<Handler>) => unknown = () => undefined): Promise<TestServer> {
  return startServer(async (seen: Seen, response: ServerResponse) => {
    await special(seen, response);
    if (response.headersSent || response.destroyed) return;
    if (seen.path === "/v1/sandboxes/box") answerJson(response, 200, sandboxDocument("box"));
    else if (seen.path === COMMANDS) answerJson(response, 202, { id: ID });
    else if (seen.path === `${COMMAND}/status`) answerJson(response, 200, { exitCode: 3 });
    else if (seen.path.endsWith("/stdout")) output(response, "out");
    else if (seen.path.endsWith("/stderr")) output(response, "err");
    else response.writeHead(204).end();
  });
}

const sandboxOn = (server: TestServer, options: { requestTimeoutMs?: number } = {}): Promise<Sandbox> =>
  new Atoll({ url: server.url, ...options }).sandboxes.get("box");

test("run: one start, then status, stdout and stderr at the same time", async () => {
  const waiting = new Set<string>();
  const allThere = Promise.withResolvers<void>();
  await using server = await serveCommand(async ({ method, path }) => {
    if (method !== "GET" || !path.startsWith(COMMAND)) return;
    waiting.add(path);
    if (waiting.size === 3) allThere.resolve();
    await allThere.promise;
  });
  const sandbox = await sandboxOn(server);
  const result = await sandbox.commands.run(["sh", "-c", "exit 3"], {
    env: { A: "b" },
    cwd: "/tmp",
    timeoutSeconds: 9,
    container: "c",
  });
  expect(result).toEqual({ id: ID, exitCode: 3, stdout: "out", stderr: "err" });
  expect(server.seen).toHaveLength(5);
  const start = server.seen[1];
  expect(JSON.parse(String(start?.body))).toEqual({
    args: ["sh", "-c", "exit 3"],
    env: { A: "b" },
    cwd: "/tmp",
    timeoutSeconds: 9,
  });
  expect(start?.query.get("container")).toBe("c");
});

test("run: input is written and closed, and nothing is closed without it", async () => {
  await using server = await serveCommand();
  const { commands } = await sandboxOn(server);
  await commands.run(["cat"], { input: "grüße" });
  expect(server.seen.find(({ path }) => path.endsWith("/stdin"))?.body.toString()).toBe("grüße");
  expect(server.count("POST", `${COMMAND}/stdin/close`)).toBe(1);
  await commands.run(["cat"]);
  expect(server.count("POST", `${COMMAND}/stdin/close`)).toBe(1);
});

test("run: a program that ends before it reads its input still has its result", async () => {
  await using server = await serveCommand(({ path }, response) => {
    if (path.endsWith("/stdin")) answerProblem(response, 409, "command-ended", "It has ended.");
  });
  expect(await (await sandboxOn(server)).commands.run(["true"], { input: "x" })).toMatchObject({
    exitCode: 3,
    stdout: "out",
  });
});

test("run: a start cut off is repeated with its key and starts once", async () => {
  const started = new Set<unknown>();
  await using server = await serveCommand((seen, response) => {
    if (seen.path !== COMMANDS) return;
    started.add(seen.headers["idempotency-key"]);
    if (seen.nth < 3) cut(response);
  });
  expect((await (await sandboxOn(server)).commands.run(["true"])).exitCode).toBe(3);
  expect(server.count("POST", COMMANDS)).toBe(4);
  expect(started.size).toBe(1);
});

test("run: giving up kills the command and rejects with the reason", async () => {
  const controller = new AbortController();
  const killed = Promise.withResolvers<void>();
  await using server = await serveCommand(async ({ method, path }, response) => {
    if (method === "DELETE") return killed.resolve();
    if (!path.endsWith("/status")) return;
    controller.abort(new Error("too slow"));
    await new Promise((resolve) => response.on("close", resolve));
  });
  const running = (await sandboxOn(server)).commands.run(["sleep", "9"], { signal: controller.signal });
  await expect(running).rejects.toThrow("too slow");
  await killed.promise;
});

test("run: timeoutMs is TimeoutError", async () => {
  await using server = await serveCommand(async ({ path }, response) => {
    if (path.endsWith("/status")) await new Promise((resolve) => response.on("close", resolve));
  });
  const running = (await sandboxOn(server)).commands.run(["sleep", "9"], { timeoutMs: 100 });
  await expect(running).rejects.toThrow(new TimeoutError("The command took longer than 100 ms."));
});

test("run: more output than maxOutputBytes kills the command", async () => {
  const killed = Promise.withResolvers<void>();
  await using server = await serveCommand(({ method }) => method === "DELETE" && killed.resolve());
  const running = (await sandboxOn(server)).commands.run(["yes"], { maxOutputBytes: 2 });
  await expect(running).rejects.toBeInstanceOf(OutputTooLargeError);
  await killed.promise;
});

test("run: no arguments is a fault before any request", async () => {
  await using server = await serveCommand();
  await expect((await sandboxOn(server)).commands.run([])).rejects.toBeInstanceOf(TypeError);
  expect(server.seen).toHaveLength(1);
});

test("wait: polls until the command ends, and outlives polls that say nothing", async () => {
  await using server = await serveCommand(({ path, nth }, response) => {
    if (path.endsWith("/status") && nth < 3) answerJson(response, 200, nth === 0 ? {} : { exitCode: null });
  });
  const command = await (await sandboxOn(server)).commands.spawn(["true"]);
  expect(await command.exitCode()).toBeNull();
  expect(await command.wait()).toBe(3);
  expect(server.seen.at(-1)?.query.get("waitSeconds")).toBe("20");
});

test("wait: timeoutMs is TimeoutError and leaves the command alone", async () => {
  await using server = await serveCommand(async ({ path }, response) => {
    if (path.endsWith("/status")) await new Promise((resolve) => response.on("close", resolve));
  });
  const command = await (await sandboxOn(server)).commands.spawn(["true"]);
  await expect(command.wait({ timeoutMs: 50 })).rejects.toBeInstanceOf(TimeoutError);
  expect(server.count("DELETE", COMMAND)).toBe(0);
});

test("wait: an unknown outcome is OutcomeUnknownError, never an exit code", async () => {
  await using server = await serveCommand(({ path }, response) => {
    if (path.endsWith("/status")) answerProblem(response, 409, "outcome-unknown", "Nobody saw it end.");
  });
  const command = await (await sandboxOn(server)).commands.spawn(["true"]);
  await expect(command.wait()).rejects.toMatchObject({ name: "OutcomeUnknownError", message: "Nobody saw it end." });
});

test("stdin: writes arrive one after the other, in the order of the calls", async () => {
  let open = 0;
  const bodies: string[] = [];
  await using server = await serveCommand(async ({ path, body }) => {
    if (!path.endsWith("/stdin")) return;
    expect(++open).toBe(1);
    bodies.push(body.toString());
    await new Promise(setImmediate);
    open--;
  });
  const { stdin } = await (await sandboxOn(server)).commands.spawn(["cat"]);
  async function* pieces(): AsyncGenerator<string> {
    yield "c";
    yield "";
    yield "d";
  }
  await Promise.all([
    stdin.write("a"),
    stdin.write(new Uint8Array([98])),
    stdin.write(pieces()),
    stdin.write(new Blob(["e"])),
  ]);
  await stdin.close();
  expect(bodies).toEqual(["a", "b", "cd", "e"]);
});

test.each([
  ["a broken connection", (response: ServerResponse) => cut(response), ConnectionError],
  ["503", (response: ServerResponse) => answerProblem(response, 503, "unavailable", "No."), Error],
  ["409", (response: ServerResponse) => answerProblem(response, 409, "stdin-closed", "Closed."), ConflictError],
])("stdin: a write that met %s is not sent again, and later ones fail with it", async (_, misbehave, kind) => {
  await using server = await serveCommand(({ path }, response) => {
    if (path.endsWith("/stdin")) misbehave(response);
  });
  const { stdin } = await (await sandboxOn(server)).commands.spawn(["cat"]);
  const first = stdin.write("x");
  const second = stdin.write("y");
  await expect(first).rejects.toBeInstanceOf(kind);
  expect(await second.catch((error: unknown) => error)).toBe(await first.catch((error: unknown) => error));
  expect(server.count("POST", `${COMMAND}/stdin`)).toBe(1);
});

test("stdin: a program that reads late is waited for beyond requestTimeoutMs", async () => {
  await using server = await serveCommand(({ path }) =>
    path.endsWith("/stdin") ? new Promise((done) => setTimeout(done, 400)) : undefined,
  );
  const { stdin } = await (await sandboxOn(server, { requestTimeoutMs: 100 })).commands.spawn(["cat"]);
  await expect(stdin.write("x")).resolves.toBeUndefined();
});

test("kill: is a DELETE that may be repeated", async () => {
  await using server = await serveCommand(({ method, nth }, response) => {
    if (method === "DELETE" && nth === 0) cut(response);
  });
  await (await (await sandboxOn(server)).commands.spawn(["sleep"])).kill();
  expect(server.count("DELETE", COMMAND)).toBe(2);
});
