import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { silentLog } from "#core/log.ts";
import { createApp } from "#runtime/app.ts";
import { createMemoryBackend } from "#runtime/backend/memory/create-memory-backend.ts";
import { DEFAULT_GATEWAY_CONFIG } from "#runtime/gateway-config.ts";
import { Atoll, BadRequestError, ConflictError, NotFoundError, OutcomeUnknownError, ValidationError } from "#sdk";

/** The client against the real gateway, without a network: the memory backend simulates the containers. */
const backend = createMemoryBackend();
const app = createApp({
  backend,
  clock: systemClock,
  ids: cryptoIds,
  log: silentLog,
  config: DEFAULT_GATEWAY_CONFIG,
  version: { gitVersion: "v0.0.0", goVersion: "test", platform: "test" },
});
const client = new Atoll({
  url: "http://localhost",
  // A network would add it.
  headers: { host: "localhost" },
  fetch: async (input, init) => app.fetch(new Request(input, init)),
});
let sandbox: Awaited<ReturnType<typeof client.sandboxes.create>>;

beforeAll(async () => {
  sandbox = await client.sandboxes.create({ image: "debian", cpu: 0.5, memory: 256 });
});
afterAll(() => backend.close());

test("sandboxes: are made, found, listed and removed", async () => {
  const own = await client.sandboxes.create({
    containers: [{ name: "a", image: "x" }, { image: "y" }],
    timeoutSeconds: 60,
  });
  expect(own.containers.map(({ name }) => name)).toEqual(["a", "sandbox1"]);
  expect((await client.sandboxes.get(own.id)).timeoutSeconds).toBe(60);
  expect((await client.sandboxes.list()).map(({ id }) => id)).toContain(own.id);
  await own.delete();
  await own.delete();
  expect((await client.sandboxes.list()).map(({ id }) => id)).not.toContain(own.id);
});

test("create: an idempotency key given twice makes one sandbox", async () => {
  const call = { idempotencyKey: crypto.randomUUID() };
  const first = await client.sandboxes.create({ image: "debian" }, call);
  expect((await client.sandboxes.create({ image: "debian" }, call)).id).toBe(first.id);
  await expect(client.sandboxes.create({ image: "other" }, call)).rejects.toBeInstanceOf(ValidationError);
  await first.delete();
});

test("run: gives output and exit code, with input, environment and directory", async () => {
  const { commands } = sandbox;
  expect(await commands.run(["echo", "grüße"])).toMatchObject({ exitCode: 0, stdout: "grüße\n", stderr: "" });
  expect((await commands.run(["cat"], { input: "a\r\nb\xff" })).stdout).toBe("a\r\nb\xff");
  expect((await commands.run(["printenv", "A"], { env: { A: "b" } })).stdout).toBe("b\n");
  expect((await commands.run(["pwd"], { cwd: "/" })).stdout).toBe("/\n");
  expect((await commands.run(["false"])).exitCode).toBe(1);
  expect((await commands.run(["sleep", "60"], { timeoutSeconds: 1 })).exitCode).toBe(-1);
});

test("spawn: streams, takes input, ends by kill", async () => {
  const command = await sandbox.commands.spawn(["cat"]);
  const pieces = command.stdout[Symbol.asyncIterator]();
  await command.stdin.write("one");
  expect((await pieces.next()).value).toBe("one");
  expect(await command.exitCode()).toBeNull();
  await command.kill();
  expect(await command.wait()).toBe(-1);
  expect((await pieces.next()).done).toBe(true);
  expect(await command.stdout.read()).toBe("one");
  await expect(command.stdin.write("late")).rejects.toBeInstanceOf(ConflictError);
});

test("stdoutBytes: large output is complete", async () => {
  const command = await sandbox.commands.spawn(["head", "-c", "8000000", "/dev/zero"]);
  let sizeBytes = 0;
  for await (const piece of command.stdoutBytes) sizeBytes += piece.length;
  expect(sizeBytes).toBe(8_000_000);
});

test("wait and stdout: a restart of the agent is OutcomeUnknownError", async () => {
  const own = await client.sandboxes.create({ image: "debian" });
  const command = await own.commands.spawn(["sleep", "60"]);
  const results = Promise.allSettled([command.wait(), command.stdout.read()]);
  await command.exitCode();
  backend.restartAgent(own.id);
  for (const result of await results) {
    expect(result.status).toBe("rejected");
    expect(result).toHaveProperty("reason", expect.any(OutcomeUnknownError));
  }
  await own.delete();
});

test("filesystem: writes and reads every kind of data", async () => {
  const { filesystem } = sandbox;
  const bytes = Uint8Array.from({ length: 100_000 }, (_, at) => at * 7);
  await filesystem.write("/a/b c+d", bytes);
  expect(await filesystem.read("/a/b c+d")).toEqual(bytes);
  await filesystem.write("/a/stream", new Blob([bytes]).stream());
  expect(new Uint8Array(await new Response(await filesystem.readStream("/a/stream")).arrayBuffer())).toEqual(bytes);
  await filesystem.write("/empty", "");
  expect(await filesystem.read("/empty")).toHaveLength(0);
  await expect(filesystem.read("/missing")).rejects.toBeInstanceOf(NotFoundError);
});

test("snapshots: are taken, restored, listed and removed", async () => {
  const source = await client.sandboxes.create({ image: "debian" });
  await source.filesystem.write("/srv/kept", "yes");
  const states: string[] = [];
  const snapshot = await source.snapshot({ snapshotName: "kept", onProgress: ({ status }) => states.push(status) });
  expect(snapshot).toMatchObject({ sandboxId: source.id, status: "Succeeded", base: { image: "debian" } });
  expect(states.at(-1)).toBe("Succeeded");
  await using copy = await client.sandboxes.create({ image: "debian", rootfsSnapshotName: "kept" });
  expect(copy.containers[0]?.rootfsSnapshotName).toBe("kept");
  expect(new TextDecoder().decode(await copy.filesystem.read("/srv/kept"))).toBe("yes");

  const again = await client.snapshots.create({ sandboxId: copy.id, snapshotName: "kept" });
  const listed: string[] = [];
  for await (const { id } of client.rootfsSnapshots.list({ snapshotName: "kept" })) listed.push(id);
  expect(listed).toEqual([snapshot.id, again.id]);
  await snapshot.delete();
  await expect(client.snapshots.get(snapshot.id)).rejects.toMatchObject({ slug: "snapshot-not-found" });
  expect((await again.refresh()).snapshotName).toBe("kept");
  await source.delete();
});

test("snapshots: of no sandbox fail with the reason, and another image is refused unless one says so", async () => {
  const failed = client.snapshots.create({ sandboxId: "absent" });
  await expect(failed).rejects.toMatchObject({ name: "SnapshotFailedError", reason: "SandboxNotFound" });
  await sandbox.snapshot({ snapshotName: "mine" });
  const onOther = { image: "other", rootfsSnapshotName: "mine" };
  const refused = client.sandboxes.create(onOther);
  await expect(refused).rejects.toMatchObject({ reason: "RootfsRestoreConfigurationError" });
  await using forced = await client.sandboxes.create({ ...onOther, rootfsSnapshotAllowOtherBase: true });
  expect(forced.status).toBe("Running");
});

test("snapshots: are taken at the end of a sandbox that asks for it", async () => {
  const own = await client.sandboxes.create({ image: "debian", terminationPolicy: { snapshotName: "last" } });
  await own.filesystem.write("/srv/last", "words");
  await own.delete();
  await using next = await client.sandboxes.create({ image: "debian", rootfsSnapshotName: "last" });
  expect(new TextDecoder().decode(await next.filesystem.read("/srv/last"))).toBe("words");
});

test("errors: the gateway's problems become the client's classes", async () => {
  await expect(client.sandboxes.get("aaaaaaaaaaaaaaaaaaaaaa")).rejects.toMatchObject({ slug: "sandbox-not-found" });
  await expect(sandbox.commands.run(["true"], { container: "other" })).rejects.toBeInstanceOf(BadRequestError);
  const invalid = await client.sandboxes.create({ image: "x", timeoutSeconds: 0 }).catch((error: unknown) => error);
  expect(invalid).toBeInstanceOf(ValidationError);
  expect(invalid).toHaveProperty("errors.0.location", expect.stringContaining("timeoutSeconds"));
});
