import { expect, test } from "vitest";
import { Atoll, SandboxFailedError, TimeoutError } from "../src/index.ts";
import { answerJson, answerProblem, cut, sandboxDocument, startServer } from "./server.ts";

const json = (body: Buffer): unknown => JSON.parse(body.toString());

test("create: one request when the sandbox runs at once", async () => {
  await using server = await startServer((_, response) => answerJson(response, 201, sandboxDocument("box")));
  const sandbox = await new Atoll({ url: server.url }).sandboxes.create({ image: "debian" });
  expect(sandbox).toMatchObject({ id: "box", status: "Running", creationTimestamp: new Date("2026-11-02T10:00:00Z") });
  expect(server.seen).toHaveLength(1);
  expect(json(server.seen[0]?.body ?? Buffer.of())).toEqual({ podTemplate: { containers: [{ image: "debian" }] } });
});

test("create: the short form and the long form become the API's request", async () => {
  await using server = await startServer((_, response) => answerJson(response, 201, sandboxDocument("box")));
  const { sandboxes } = new Atoll({ url: server.url });
  await sandboxes.create({
    image: "python",
    command: ["python3"],
    env: { A: "1" },
    cpu: 0.5,
    memory: 256,
    ephemeralStorage: "1Gi",
    timeoutSeconds: 60,
    network: { allowInternetEgress: true },
    terminationPolicy: { snapshotName: "last" },
  });
  await sandboxes.create({
    containers: [
      { name: "a", image: "x", resources: { limits: { cpu: "2" } } },
      { image: "y", cpu: 1.0005 },
    ],
  });
  const amounts = { cpu: "500m", memory: "256Mi", ephemeralStorage: "1Gi" };
  expect(json(server.seen[0]?.body ?? Buffer.of())).toEqual({
    podTemplate: {
      containers: [
        { image: "python", command: ["python3"], env: { A: "1" }, resources: { limits: amounts, requests: amounts } },
      ],
    },
    timeoutSeconds: 60,
    network: { allowInternetEgress: true },
    terminationPolicy: { type: "SnapshotRootfs", snapshotRootfs: { snapshotName: "last" } },
  });
  expect(json(server.seen[1]?.body ?? Buffer.of())).toEqual({
    podTemplate: {
      containers: [
        { name: "a", image: "x", resources: { limits: { cpu: "2" } } },
        { image: "y", resources: { limits: { cpu: "1000m" }, requests: { cpu: "1000m" } } },
      ],
    },
  });
});

test.each([
  ["neither image nor containers", {}],
  ["both", { image: "x", containers: [] }],
  ["resources twice", { image: "x", cpu: 1, resources: {} }],
  ["a negative amount", { image: "x", memory: -1 }],
])("create: refuses %s before any request", async (_, options) => {
  await using server = await startServer((_seen, response) => answerJson(response, 201, sandboxDocument("box")));
  await expect(new Atoll({ url: server.url }).sandboxes.create(options as { image: string })).rejects.toThrow(/./);
  expect(server.seen).toHaveLength(0);
});

test("create: waits while Pending, bears a 404, and returns when Running", async () => {
  await using server = await startServer((seen, response) => {
    if (seen.method === "POST") return answerJson(response, 201, sandboxDocument("box", "Pending"));
    if (seen.nth === 0) return answerProblem(response, 404, "sandbox-not-found", "Not yet.");
    answerJson(response, 200, sandboxDocument("box", seen.nth === 1 ? "Pending" : "Running"));
  });
  expect((await new Atoll({ url: server.url }).sandboxes.create({ image: "x" })).status).toBe("Running");
});

test("create: maxWaitMs 0 does not wait", async () => {
  await using server = await startServer((_, response) => answerJson(response, 201, sandboxDocument("box", "Pending")));
  const sandbox = await new Atoll({ url: server.url }).sandboxes.create({ image: "x", maxWaitMs: 0 });
  expect(sandbox.status).toBe("Pending");
  expect(server.seen).toHaveLength(1);
});

test("create: a failed start is SandboxFailedError with the reason", async () => {
  const failed = sandboxDocument("box", "Failed", { reason: "ImageNotFound", message: 'There is no image "x".' });
  await using server = await startServer((_, response) => answerJson(response, 201, failed));
  const failure = await new Atoll({ url: server.url }).sandboxes
    .create({ image: "x" })
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(SandboxFailedError);
  expect(failure).toMatchObject({
    reason: "ImageNotFound",
    sandboxId: "box",
    message: 'Sandbox box did not start: There is no image "x".',
  });
});

test("create: retries carry the same idempotency key, and a key in use is waited for", async () => {
  const made = new Map<string, number>();
  await using server = await startServer((seen, response) => {
    const key = String(seen.headers["idempotency-key"]);
    if (seen.nth < 1) {
      made.set(key, (made.get(key) ?? 0) + 1);
      return cut(response);
    }
    if (seen.nth === 1) return answerProblem(response, 503, "unavailable", "Busy.");
    if (seen.nth === 2) return answerProblem(response, 409, "idempotency-in-use", "Still at it.");
    if (!made.has(key)) made.set(key, 1);
    answerJson(response, 201, sandboxDocument("box"));
  });
  await new Atoll({ url: server.url }).sandboxes.create({ image: "x" });
  expect([...made.values()]).toEqual([1]);
  expect(server.seen).toHaveLength(4);
});

test("create: two calls have two keys, a given key is used", async () => {
  await using server = await startServer((_, response) => answerJson(response, 201, sandboxDocument("box")));
  const { sandboxes } = new Atoll({ url: server.url });
  await sandboxes.create({ image: "x" });
  await sandboxes.create({ image: "x" });
  await sandboxes.create({ image: "x" }, { idempotencyKey: "mine" });
  const keys = server.seen.map(({ headers }) => headers["idempotency-key"]);
  expect(keys[0]).not.toBe(keys[1]);
  expect(keys[2]).toBe("mine");
});

test("create: an abort before the answer removes the sandbox once its id is known", async () => {
  const controller = new AbortController();
  const aborted = Promise.withResolvers<void>();
  const removed = Promise.withResolvers<string>();
  await using server = await startServer(async (seen, response) => {
    if (seen.method === "DELETE") {
      removed.resolve(seen.path);
      return void response.writeHead(204).end();
    }
    controller.abort(new Error("no longer needed"));
    await aborted.promise;
    answerJson(response, 201, sandboxDocument("box", "Pending"));
  });
  const creating = new Atoll({ url: server.url }).sandboxes.create({ image: "x" }, { signal: controller.signal });
  await expect(creating).rejects.toThrow("no longer needed");
  aborted.resolve();
  expect(await removed.promise).toBe("/v1/sandboxes/box");
});

test("create: maxWaitMs over is TimeoutError, and the sandbox is removed", async () => {
  const removed = Promise.withResolvers<string>();
  await using server = await startServer((seen, response) => {
    if (seen.method !== "DELETE") return answerJson(response, 200, sandboxDocument("box", "Pending"));
    removed.resolve(seen.path);
    response.writeHead(204).end();
  });
  const creating = new Atoll({ url: server.url }).sandboxes.create({ image: "x" }, { maxWaitMs: 150 });
  await expect(creating).rejects.toBeInstanceOf(TimeoutError);
  expect(await removed.promise).toBe("/v1/sandboxes/box");
});

test("list, refresh, delete: do what they say", async () => {
  await using server = await startServer((seen, response) => {
    if (seen.method === "DELETE") return void response.writeHead(204).end();
    if (seen.path === "/v1/sandboxes") return answerJson(response, 200, { sandboxes: [sandboxDocument("box")] });
    answerJson(
      response,
      200,
      sandboxDocument("box", seen.nth === 0 ? "Pending" : "Terminating", { reason: "Deleting" }),
    );
  });
  const { sandboxes } = new Atoll({ url: server.url });
  expect(await sandboxes.list()).toEqual([
    { id: "box", status: "Running", creationTimestamp: new Date("2026-11-02T10:00:00Z") },
  ]);
  const sandbox = await sandboxes.get("box");
  await sandbox.delete();
  expect((await sandbox.refresh()).status).toBe("Terminating");
  expect(sandbox.reason).toBe("Deleting");
});

test("await using: removes the sandbox, and one that is gone is no fault", async () => {
  await using server = await startServer((seen, response) => {
    if (seen.method === "DELETE") answerProblem(response, 404, "sandbox-not-found", "Gone.");
    else answerJson(response, 201, sandboxDocument("box"));
  });
  {
    await using sandbox = await new Atoll({ url: server.url }).sandboxes.create({ image: "x" });
    expect(sandbox.id).toBe("box");
  }
  expect(server.count("DELETE", "/v1/sandboxes/box")).toBe(1);
});
