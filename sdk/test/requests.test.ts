import { getEventListeners } from "node:events";
import { inspect } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import * as sdk from "../src/index.ts";
import { answerJson, answerProblem, cut, sandboxDocument, startServer, type Handler } from "./server.ts";

const { Atoll, ConnectionError, InvalidResponseError, TimeoutError } = sdk;

afterEach(() => vi.unstubAllEnvs());

const box: Handler = (_, response) => answerJson(response, 200, sandboxDocument("box"));

test("Atoll: takes address and key from the environment", async () => {
  await using server = await startServer(box);
  vi.stubEnv("ISOLA_URL", `${server.url}/`);
  vi.stubEnv("ATOLL_API_KEY", "secret");
  await new sdk.Isola().sandboxes.get("box");
  expect(server.seen[0]?.headers.authorization).toBe("Bearer secret");
  vi.stubEnv("ATOLL_URL", `${server.url}/prefix`);
  await new Atoll().sandboxes.get("a/b c");
  expect(server.seen[1]?.path).toBe("/prefix/v1/sandboxes/a%2Fb%20c");
});

test("Atoll: options win over the environment, headers are sent, the key never shows", async () => {
  await using server = await startServer(box);
  vi.stubEnv("ATOLL_URL", "http://127.0.0.1:1");
  const client = new Atoll({ url: server.url, apiKey: "k1", headers: { "x-team": "blue" } });
  const sandbox = await client.sandboxes.get("box");
  expect(server.seen[0]?.headers).toMatchObject({ authorization: "Bearer k1", "x-team": "blue" });
  expect(inspect([client, sandbox], { depth: 9 }) + JSON.stringify([client, sandbox])).not.toContain("k1");
});

test.each([[{}], [{ url: "  " }], [{ url: "ftp://host" }], [{ url: "localhost:80" }]])(
  "Atoll: refuses %j with a sentence",
  (options) => {
    vi.stubEnv("ATOLL_URL", "");
    vi.stubEnv("ISOLA_URL", "");
    expect(() => new Atoll(options)).toThrow(/`url`/);
  },
);

test.each([
  [400, "BadRequestError"],
  [401, "UnauthorizedError"],
  [403, "ForbiddenError"],
  [404, "NotFoundError"],
  [405, "MethodNotAllowedError"],
  [409, "ConflictError"],
  [410, "GoneError"],
  [413, "PayloadTooLargeError"],
  [415, "UnsupportedMediaTypeError"],
  [418, "ApiError"],
  [422, "ValidationError"],
  [429, "TooManyRequestsError"],
  [431, "HeadersTooLargeError"],
  [500, "InternalError"],
  [502, "BadGatewayError"],
  [503, "UnavailableError"],
  [504, "ApiError"],
])("errors: status %i is %s with the server's sentence, slug and faults", async (status, name) => {
  await using server = await startServer((_, response) => {
    const errors = [{ message: "too long", location: "body.name", value: 3 }];
    const problem = { type: "urn:atoll:problem:some-slug", status, detail: "A plain sentence.", errors };
    response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
  });
  const failure = await new Atoll({ url: server.url, maxRetries: 0 }).sandboxes
    .get("box")
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(sdk.ApiError);
  expect(failure).toBeInstanceOf(sdk.IsolaError);
  expect(failure).toMatchObject({ name, status, statusCode: status, slug: "some-slug", message: "A plain sentence." });
  expect((failure as sdk.ApiError).errors).toEqual([{ message: "too long", location: "body.name", value: 3 }]);
});

test("errors: an answer that is no problem document has a sentence of its own", async () => {
  await using server = await startServer((_, response) => void response.writeHead(404).end("<html>".repeat(100_000)));
  const failure = new Atoll({ url: server.url }).sandboxes.get("box");
  await expect(failure).rejects.toThrow("GET /v1/sandboxes/box was answered with status 404.");
});

test("errors: a redirect is no success and is not followed", async () => {
  await using server = await startServer(
    (_, response) => void response.writeHead(307, { location: "/elsewhere" }).end(),
  );
  await expect(new Atoll({ url: server.url }).sandboxes.get("box")).rejects.toMatchObject({ status: 307 });
  expect(server.seen).toHaveLength(1);
});

test.each([
  ["no JSON", "{"],
  ["another shape", "[]"],
  ["an unknown status", JSON.stringify(sandboxDocument("box", "Sleeping"))],
  ["no containers", JSON.stringify({ ...sandboxDocument("box"), podTemplate: { containers: null } })],
])("errors: %s is InvalidResponseError", async (_, body) => {
  await using server = await startServer((_seen, response) => void response.end(body));
  await expect(new Atoll({ url: server.url }).sandboxes.get("box")).rejects.toBeInstanceOf(InvalidResponseError);
});

test.each([502, 503, 504])("retry: %i passes", async (status) => {
  await using server = await startServer((seen, response) => {
    if (seen.nth < 2) answerProblem(response, status, "unavailable", "Not now.");
    else answerJson(response, 200, sandboxDocument("box"));
  });
  expect((await new Atoll({ url: server.url }).sandboxes.get("box")).status).toBe("Running");
  expect(server.seen).toHaveLength(3);
});

test.each([400, 404, 409, 422, 429, 500])("retry: %i is final", async (status) => {
  await using server = await startServer((_, response) => answerProblem(response, status, "x", "No."));
  await expect(new Atoll({ url: server.url }).sandboxes.get("box")).rejects.toMatchObject({ status });
  expect(server.seen).toHaveLength(1);
});

test("retry: a broken connection and a broken body are tried again", async () => {
  await using server = await startServer((seen, response) => {
    if (seen.nth === 0) return cut(response);
    if (seen.nth === 1)
      return void response.writeHead(200, { "content-length": "999" }).write("{", () => cut(response));
    answerJson(response, 200, sandboxDocument("box"));
  });
  expect((await new Atoll({ url: server.url }).sandboxes.get("box")).id).toBe("box");
});

test("retry: a server that is not there is ConnectionError after maxRetries", async () => {
  const failure = new Atoll({ url: "http://127.0.0.1:1", maxRetries: 1 }).sandboxes.list();
  await expect(failure).rejects.toBeInstanceOf(ConnectionError);
  await expect(failure).rejects.toThrow(/^GET \/v1\/sandboxes got no complete answer: .+\.$/);
});

test("timeouts: an attempt without an answer is tried again, then TimeoutError", async () => {
  await using server = await startServer(() => undefined);
  const client = new Atoll({ url: server.url, requestTimeoutMs: 60, maxRetries: 1 });
  await expect(client.sandboxes.get("box")).rejects.toBeInstanceOf(TimeoutError);
  expect(server.seen).toHaveLength(2);
});

test("timeouts: timeoutMs bounds the whole call, retries included", async () => {
  await using server = await startServer((_, response) =>
    answerProblem(response, 503, "unavailable", "No.", { "retry-after": "30" }),
  );
  const failure = new Atoll({ url: server.url }).sandboxes.get("box", { timeoutMs: 100 });
  await expect(failure).rejects.toThrow(new TimeoutError("The question for the sandbox took longer than 100 ms."));
  expect(server.seen).toHaveLength(1);
});

test("signal: an abort rejects with the caller's reason, while waiting and beforehand", async () => {
  const controller = new AbortController();
  const reason = new Error("changed my mind");
  await using server = await startServer(() => controller.abort(reason));
  const client = new Atoll({ url: server.url });
  await expect(client.sandboxes.get("box", { signal: controller.signal })).rejects.toBe(reason);
  await expect(client.sandboxes.list({ signal: controller.signal })).rejects.toBe(reason);
  expect(server.seen).toHaveLength(1);
});

test("signal: a long-lived signal collects no listeners", async () => {
  await using server = await startServer(box);
  const { signal } = new AbortController();
  const client = new Atoll({ url: server.url });
  for (let call = 0; call < 20; call++) await client.sandboxes.get("box", { signal, timeoutMs: 1000 });
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});
