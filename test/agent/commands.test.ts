import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentHealth } from "#api/agent.ts";
import { until } from "../harness/until.ts";
import { collect, ended, exec, problemOf, shell, start } from "./client.ts";
import { startSandbox, type AgentSandbox } from "./sandbox.ts";

let sandbox: AgentSandbox;

beforeAll(async () => {
  sandbox = await startSandbox({
    targets: [
      { name: "main", cwd: "/usr", env: ["FOO=bar", "KEEP=1"] },
      { name: "side", user: { uid: 1000, gid: 1000 }, noNewPrivileges: true },
    ],
  });
}, 60_000);
afterAll(async () => sandbox?.[Symbol.asyncDispose]());

describe("start", () => {
  test("runs in the container's directory with its environment, overlaid, without the mark", async () => {
    const { stdout } = await exec(sandbox, ["sh", "-c", "pwd; env | sort"], { env: { FOO: "baz", NEW: "é\n" } });
    expect(stdout.split("\n")[0]).toBe("/usr");
    expect(stdout).toContain("FOO=baz\n");
    expect(stdout).toContain("KEEP=1\n");
    expect(stdout).toContain("NEW=é\n");
    expect(stdout).not.toContain("ISOLA_CONTAINER_NAME");
  });

  test.each([
    [["true"], 0, ""],
    [["sh", "-c", "exit 42"], 42, ""],
    [["no-such-program"], 127, "not found"],
    [["/etc/passwd"], 126, "Permission denied"],
    [["sh", "-c", "kill -9 $$"], -1, ""],
    [["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137, ""],
  ])("%j ends with %i", async (args, exitCode, message) => {
    const result = await exec(sandbox, args);
    expect(result.exitCode).toBe(exitCode);
    expect(result.stderr).toContain(message);
    expect(result.command.signal).toBe(exitCode === -1 ? 9 : null);
  });

  test("runs a script that names no interpreter, as a shell would", async () => {
    await shell(sandbox, "printf 'echo hello $1' > /root/script; chmod 755 /root/script");
    expect((await exec(sandbox, ["/root/script", "you"])).stdout).toBe("hello you\n");
  });

  test("takes working directories inside the root, and refuses the others", async () => {
    expect((await exec(sandbox, ["pwd"], { cwd: "lib/.." })).stdout).toBe("/usr\n");
    expect((await exec(sandbox, ["pwd"], { cwd: "../../../etc" })).stdout).toBe("/etc\n");
    for (const cwd of ["/missing", "/etc/passwd", "/dev/null/x"]) {
      const response = await sandbox.fetch("/v1/commands?container=main", {
        method: "POST",
        body: JSON.stringify({ id: randomUUID(), args: ["true"], cwd }),
      });
      expect(await problemOf(response)).toMatchObject({ status: 400, slug: "bad-working-directory" });
    }
  });

  test("answers a repeat with the same command, and refuses another under its id", async () => {
    const id = await start(sandbox, ["sh", "-c", "echo once >> /root/count"]);
    await ended(sandbox, id);
    await start(sandbox, ["sh", "-c", "echo once >> /root/count"], { id });
    expect((await exec(sandbox, ["cat", "/root/count"])).stdout).toBe("once\n");
    const other = await sandbox.fetch("/v1/commands?container=main", {
      method: "POST",
      body: JSON.stringify({ id, args: ["false"] }),
    });
    expect(await problemOf(other)).toMatchObject({ status: 422, slug: "idempotency-mismatch" });
  });

  test.each([
    ["?container=other", { args: ["true"] }, 400, "unknown-container"],
    ["", { args: ["true"] }, 400, "container-required"],
    ["?container=main", { args: [] }, 422, "validation-failed"],
    ["?container=main", { args: ["true"], more: 1 }, 422, "validation-failed"],
    ["?container=main", { args: ["a\0b"] }, 400, "bad-request"],
    ["?container=main", { args: ["true"], env: { "A=B": "" } }, 400, "bad-request"],
    ["?container=main", { args: ["x".repeat(1 << 20)] }, 413, "body-too-large"],
  ])("%s %# is refused", async (query, command, status, slug) => {
    const response = await sandbox.fetch(`/v1/commands${query}`, {
      method: "POST",
      body: JSON.stringify({ id: randomUUID(), ...command }),
    });
    expect(await problemOf(response)).toMatchObject({ status, slug });
  });

  test("finds a container that is added later, and says when one has ended", async () => {
    await sandbox.addTarget({ name: "later", args: ["/bin/sleep", "1"] });
    expect((await exec(sandbox, ["echo", "hi"], { container: "later" })).stdout).toBe("hi\n");
    const answer = await until(
      () =>
        sandbox.fetch("/v1/commands?container=later", {
          method: "POST",
          body: JSON.stringify({ id: randomUUID(), args: ["true"] }),
        }),
      (response) => response.status !== 202,
    );
    expect(await problemOf(answer)).toMatchObject({ status: 409, slug: "container-ended" });
    const health = AgentHealth.parse(await (await sandbox.fetch("/v1/health")).json());
    expect(health.containers.map(({ name }) => name).toSorted()).toEqual(["main", "side"]);
  });

  test("loses none of 64 commands at once", async () => {
    const all = await Promise.all(
      Array.from({ length: 64 }, (_, index) =>
        shell(sandbox, `echo out ${index}; echo err ${index} >&2; exit ${index}`),
      ),
    );
    expect(all.map(({ exitCode, stdout, stderr }) => [exitCode, stdout, stderr])).toEqual(
      all.map((_, index) => [index, `out ${index}\n`, `err ${index}\n`]),
    );
  }, 60_000);
});

describe("end", () => {
  test("a timeout kills the whole group and what left it, and keeps the output", async () => {
    const script = "echo before; sleep 1001 & setsid sleep 1002 & sh -c 'sleep 1003' & wait";
    const id = await start(sandbox, ["bash", "-c", script], { timeoutMs: 1500 });
    expect(await ended(sandbox, id)).toMatchObject({ exitCode: -1, signal: 9, endedBy: "timeout" });
    expect((await collect(sandbox, id, "stdout")).bytes.toString()).toBe("before\n");
    const left = await until(
      () => shell(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 100[0-9]' || true"),
      ({ stdout }) => stdout === "",
    );
    expect(left.stdout).toBe("");
  });

  test("a kill leaves a daemon alone: what left the session and whose parents have ended", async () => {
    const daemon =
      "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\ntime.sleep(1004)";
    const script = `python3 -c "$DAEMON"; echo started; sleep 1005`;
    const id = await start(sandbox, ["sh", "-c", script], { env: { DAEMON: daemon } });
    await collect(sandbox, id, "stdout", { most: 8 });
    await sandbox.fetch(`/v1/commands/${id}`, { method: "DELETE" });
    expect(await ended(sandbox, id)).toMatchObject({ exitCode: -1, signal: 9, endedBy: "kill" });
    expect((await collect(sandbox, id, "stdout")).ended).toEqual({ kind: "end", totalBytes: 8 });
    const alive = await shell(
      sandbox,
      "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep(100[45])\\|sleep 100[45]'",
    );
    expect(alive.stdout).toBe("sleep(1004)\n");
    await shell(sandbox, "pkill -9 -f 'sleep.1004'");
  });

  test("a kill is idempotent, and does nothing to an ended command", async () => {
    const id = await start(sandbox, ["sleep", "1000"]);
    for (let repeat = 0; repeat < 2; repeat += 1)
      expect((await sandbox.fetch(`/v1/commands/${id}`, { method: "DELETE" })).status).toBe(204);
    expect(await ended(sandbox, id)).toMatchObject({ exitCode: -1, signal: 9, endedBy: "kill" });
    const done = await exec(sandbox, ["true"]);
    expect((await sandbox.fetch(`/v1/commands/${done.id}`, { method: "DELETE" })).status).toBe(204);
    expect(await ended(sandbox, done.id)).toMatchObject({ exitCode: 0, endedBy: null });
    expect(await problemOf(await sandbox.fetch(`/v1/commands/${randomUUID()}`, { method: "DELETE" }))).toMatchObject({
      status: 404,
      slug: "command-not-found",
    });
  });

  test("a poll gives null after its time while the command runs", async () => {
    const id = await start(sandbox, ["sleep", "1000"]);
    expect(await (await sandbox.fetch(`/v1/commands/${id}?waitMs=100`)).json()).toMatchObject({
      state: "running",
      exitCode: null,
    });
    expect(await problemOf(await sandbox.fetch(`/v1/commands/${id}?waitMs=30001`))).toMatchObject({ status: 400 });
    await sandbox.fetch(`/v1/commands/${id}`, { method: "DELETE" });
  });
});

describe("standard input", () => {
  test("stays open until it is closed, and keeps bodies whole", async () => {
    const id = await start(sandbox, ["cat"]);
    const bodies = Array.from({ length: 8 }, (_, index) => Buffer.alloc(300_000, 97 + index));
    await Promise.all(
      bodies.map(async (body) =>
        expect((await sandbox.fetch(`/v1/commands/${id}/stdin`, { method: "POST", body })).status).toBe(204),
      ),
    );
    expect(await (await sandbox.fetch(`/v1/commands/${id}?waitMs=100`)).json()).toMatchObject({ state: "running" });
    expect((await sandbox.fetch(`/v1/commands/${id}/stdin/close`, { method: "POST" })).status).toBe(204);
    expect((await ended(sandbox, id)).exitCode).toBe(0);
    const { bytes } = await collect(sandbox, id, "stdout");
    const runs = bytes.toString().match(/(.)\1*/g) ?? [];
    expect(runs.map((text) => text.length)).toEqual(bodies.map(({ length }) => length));
    expect(
      await problemOf(await sandbox.fetch(`/v1/commands/${id}/stdin`, { method: "POST", body: "x" })),
    ).toMatchObject({ status: 409, slug: "command-ended" });
  });

  test("closed twice or closed by its reader is 409", async () => {
    const id = await start(sandbox, ["sh", "-c", "exec <&-; echo closed; sleep 1000"]);
    await collect(sandbox, id, "stdout", { most: 7 });
    expect(
      await problemOf(await sandbox.fetch(`/v1/commands/${id}/stdin`, { method: "POST", body: "x" })),
    ).toMatchObject({ status: 409, slug: "stdin-closed" });
    expect(await problemOf(await sandbox.fetch(`/v1/commands/${id}/stdin/close`, { method: "POST" }))).toMatchObject({
      status: 409,
      slug: "stdin-closed",
    });
    await sandbox.fetch(`/v1/commands/${id}`, { method: "DELETE" });
  });

  test("a writer that waits is answered when the command ends", async () => {
    const id = await start(sandbox, ["sleep", "1000"]);
    const writing = sandbox.fetch(`/v1/commands/${id}/stdin`, { method: "POST", body: Buffer.alloc(4 << 20) });
    await sandbox.fetch(`/v1/commands/${id}?waitMs=200`);
    await sandbox.fetch(`/v1/commands/${id}`, { method: "DELETE" });
    expect((await problemOf(await writing)).status).toBe(409);
  });
});

test("requests without a valid token are refused", async () => {
  const tokens = [
    null,
    "x",
    await sandbox.token({ agentId: "other" }),
    await sandbox.token({ expiresAtMs: Date.now() - 1 }),
  ];
  for (const token of tokens)
    expect(await problemOf(await sandbox.fetch("/v1/health", { token }))).toMatchObject({
      status: 401,
      slug: "unauthorized",
    });
  expect(await problemOf(await sandbox.fetch("/v1/nothing"))).toMatchObject({ status: 404 });
  expect(await problemOf(await sandbox.fetch("/v1/health", { method: "POST" }))).toMatchObject({ status: 405 });
});
