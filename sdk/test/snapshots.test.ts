import { expect, test } from "vitest";
import { Atoll, SnapshotFailedError, TimeoutError, type Snapshot } from "../src/index.ts";
import { answerJson, answerProblem, cut, sandboxDocument, startServer } from "./server.ts";

const PATH = "/v1/rootfs-snapshots";
const json = (body: Buffer | undefined): unknown => JSON.parse(String(body));

function snapshotDocument(status = "Succeeded", more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: "record",
    sandboxId: "box",
    snapshotName: "base",
    timeoutSeconds: 300,
    ttlSecondsAfterFinished: 300,
    status,
    creationTimestamp: "2026-11-02T10:00:00Z",
    ...more,
  };
}

test("create: one request when the snapshot is complete at once, with all that was asked for", async () => {
  await using server = await startServer((_, response) => answerJson(response, 201, snapshotDocument()));
  const { snapshots } = new Atoll({ url: server.url });
  const terms = { snapshotName: "base", containerName: "a", timeoutSeconds: 60, ttlSecondsAfterFinished: 0 };
  const snapshot = await snapshots.create({ sandboxId: "box", ...terms });
  expect(snapshot).toMatchObject({ id: "record", snapshotName: "base", status: "Succeeded", warnings: [] });
  expect(server.seen).toHaveLength(1);
  expect(json(server.seen[0]?.body)).toEqual({ sandboxId: "box", ...terms });
});

test("create: waits, bears a 404, tells each state on the way, and returns the complete one", async () => {
  const progress = { phase: "Uploading", bytesDone: 1, bytesTotal: 2 };
  await using server = await startServer((seen, response) => {
    if (seen.method === "POST") return answerJson(response, 201, snapshotDocument("Pending"));
    if (seen.nth === 0) return answerProblem(response, 404, "snapshot-not-found", "Not yet.");
    if (seen.nth === 1) return answerJson(response, 200, snapshotDocument("Running", { progress }));
    const result = { bytes: 7, snapshotKey: "key", completedAt: "2026-11-02T10:00:01Z", base: { image: "debian" } };
    answerJson(response, 200, snapshotDocument("Succeeded", result));
  });
  const seen: Pick<Snapshot, "status" | "progress">[] = [];
  const snapshot = await new Atoll({ url: server.url }).snapshots.create({
    sandboxId: "box",
    onProgress: ({ status, progress: of }) => seen.push({ status, progress: of }),
  });
  expect(snapshot).toMatchObject({ bytes: 7, snapshotKey: "key", completedAt: new Date("2026-11-02T10:00:01Z") });
  expect(seen.map(({ status }) => status)).toEqual(["Pending", "Pending", "Running", "Succeeded"]);
  expect(seen[2]?.progress).toEqual(progress);
});

test("create: one that fails is SnapshotFailedError with the reason", async () => {
  const failed = snapshotDocument("Failed", { reason: "SandboxNotFound", message: "There is none." });
  await using server = await startServer((_, response) => answerJson(response, 201, failed));
  const failure = await new Atoll({ url: server.url }).snapshots
    .create({ sandboxId: "box" })
    .catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(SnapshotFailedError);
  expect(failure).toMatchObject({
    reason: "SandboxNotFound",
    snapshotId: "record",
    message: 'Snapshot "base" was not taken: There is none.',
  });
});

test("create: maxWaitMs 0 does not wait, and one that is over is TimeoutError", async () => {
  await using server = await startServer((_, response) => answerJson(response, 200, snapshotDocument("Pending")));
  const { snapshots } = new Atoll({ url: server.url });
  expect((await snapshots.create({ sandboxId: "box", maxWaitMs: 0 })).status).toBe("Pending");
  expect(server.seen).toHaveLength(1);
  await expect(snapshots.create({ sandboxId: "box", maxWaitMs: 150 })).rejects.toBeInstanceOf(TimeoutError);
  expect(server.count("DELETE", `${PATH}/record`)).toBe(0);
});

test("create: retries carry the same idempotency key", async () => {
  await using server = await startServer((seen, response) =>
    seen.nth === 0 ? cut(response) : answerJson(response, 201, snapshotDocument()),
  );
  const { snapshots } = new Atoll({ url: server.url });
  await snapshots.create({ sandboxId: "box" });
  await snapshots.create({ sandboxId: "box", idempotencyKey: "mine" });
  const keys = server.seen.map(({ headers }) => headers["idempotency-key"]);
  expect(keys[0]).toBe(keys[1]);
  expect(keys[2]).toBe("mine");
});

test("sandbox.snapshot: is of this sandbox", async () => {
  await using server = await startServer((seen, response) =>
    answerJson(response, 201, seen.path === PATH ? snapshotDocument() : sandboxDocument("box")),
  );
  const sandbox = await new Atoll({ url: server.url }).sandboxes.create({ image: "debian" });
  expect((await sandbox.snapshot({ snapshotName: "base" })).snapshotName).toBe("base");
  expect(json(server.seen[1]?.body)).toEqual({ sandboxId: "box", snapshotName: "base" });
});

test("list: fetches page after page, only as far as it is consumed", async () => {
  await using server = await startServer((seen, response) => {
    const next = seen.nth < 2 ? { next: `place-${seen.nth}` } : {};
    answerJson(response, 200, { rootfsSnapshots: [snapshotDocument("Failed", { id: `r${seen.nth}` })], ...next });
  });
  const { snapshots } = new Atoll({ url: server.url });
  const ids: string[] = [];
  for await (const { id } of snapshots.list({ snapshotName: "base" })) ids.push(id);
  expect(ids).toEqual(["r0", "r1", "r2"]);
  expect(server.seen.map(({ query }) => query.get("after"))).toEqual([null, "place-0", "place-1"]);
  expect(server.seen.every(({ query }) => query.get("snapshotName") === "base")).toBe(true);
});

test("get, refresh, delete: do what they say", async () => {
  await using server = await startServer((seen, response) => {
    if (seen.method === "DELETE") return void response.writeHead(204).end();
    answerJson(response, 200, snapshotDocument(seen.nth === 0 ? "Running" : "Succeeded"));
  });
  const { snapshots } = new Atoll({ url: server.url });
  const snapshot = await snapshots.get("record");
  expect(snapshot.status).toBe("Running");
  expect((await snapshot.refresh()).status).toBe("Succeeded");
  await snapshot.delete();
  await snapshots.delete("record");
  expect(server.count("DELETE", `${PATH}/record`)).toBe(2);
});

test("get: a status that the API does not have is refused", async () => {
  await using server = await startServer((_, response) => answerJson(response, 200, snapshotDocument("Odd")));
  await expect(new Atoll({ url: server.url }).snapshots.get("record")).rejects.toThrow('"Odd"');
});
