import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../harness/until.ts";
import { collect, ended, exec, problemOf, readFrames, shell, start } from "./client.ts";
import { pattern, PATTERN_PROGRAM, sha } from "./pattern.ts";
import { startSandbox, type AgentSandbox } from "./sandbox.ts";

const MIB = 1 << 20;
const BUDGET_BYTES = 8 * MIB;
let sandbox: AgentSandbox;
let small: AgentSandbox;

beforeAll(async () => {
  sandbox = await startSandbox({ targets: [{ name: "main" }] });
  small = await startSandbox({
    targets: [{ name: "main" }],
    agentEnv: { ATOLL_JOURNAL_BUDGET_BYTES: String(BUDGET_BYTES), ATOLL_MAX_COMMANDS: "32" },
  });
}, 60_000);
afterAll(async () => {
  await sandbox?.[Symbol.asyncDispose]();
  await small?.[Symbol.asyncDispose]();
});

/** Writes pieces of random sizes of a sequence that both sides can make. */
const PATTERN = `
${PATTERN_PROGRAM}
at = 0
while at < total:
    size = rng.choice([1, 2, 100, 4096, 65536, 300000])
    fd = 1 if rng.random() < 0.9 else os.open("/dev/stdout", os.O_WRONLY)
    at += os.write(fd, data[at:at + size])
    if fd != 1: os.close(fd)
    if rng.random() < 0.02: time.sleep(0.002)
`;

describe("a stream", () => {
  test("is complete and exact over many reconnects at random offsets, and replays from any byte", async () => {
    const total = 24 * MIB + 12_345;
    const id = await start(sandbox, ["python3", "-c", PATTERN, String(total), "7"]);
    const expected = pattern(total);
    let received = Buffer.alloc(0);
    for (let cuts = 0; ; cuts += 1) {
      const part = await collect(sandbox, id, "stdout", {
        offset: received.length,
        ...(cuts < 60 ? { most: 1 + ((cuts * 7919) % 500_000) } : {}),
      });
      received = Buffer.concat([received, part.bytes]);
      if (part.ended === undefined) continue;
      expect(part.ended).toEqual({ kind: "end", totalBytes: total });
      break;
    }
    expect(sha(received)).toBe(sha(expected));
    expect(await ended(sandbox, id)).toMatchObject({ exitCode: 0, stdout: { first: 0, end: total, complete: true } });
    for (const offset of [0, 1, 4 * MIB - 1, 4 * MIB, total - 1, total, total + 5]) {
      const again = await collect(sandbox, id, "stdout", { offset });
      expect(sha(again.bytes)).toBe(sha(expected.subarray(offset)));
      expect(again.ended).toEqual({ kind: "end", totalBytes: total });
    }
  }, 90_000);

  test("gives each of several readers every byte", async () => {
    const total = 6 * MIB;
    const id = await start(sandbox, ["python3", "-c", PATTERN, String(total), "3"]);
    const all = await Promise.all([0, 1, 2, 3].map(() => collect(sandbox, id, "stdout")));
    for (const { bytes } of all) expect(sha(bytes)).toBe(sha(pattern(total)));
  }, 60_000);

  test("keeps apart what is written to /dev/stdout and /dev/stderr", async () => {
    const { stdout, stderr } = await shell(
      sandbox,
      "echo a; echo b > /dev/stderr; echo c > /dev/stdout; echo d >&2; echo e >> /dev/stderr",
    );
    expect([stdout, stderr]).toEqual(["a\nc\n", "b\nd\ne\n"]);
  });

  test("ends with the direct process, though a survivor holds the pipe, and the survivor goes on", async () => {
    const script =
      "(sleep 0.5; i=0; while [ $i -lt 300 ]; do head -c 65536 /dev/zero || exit 1; i=$((i+1)); done; echo done > /root/survivor) & echo started";
    const { stdout, exitCode } = await shell(sandbox, script);
    expect([stdout, exitCode]).toEqual(["started\n", 0]);
    const survivor = await until(
      () => exec(sandbox, ["cat", "/root/survivor"]),
      ({ stdout: text }) => text !== "",
    );
    expect(survivor.stdout).toBe("done\n");
  }, 60_000);

  test("of a killed command stays", async () => {
    const id = await start(sandbox, ["sh", "-c", "echo kept; sleep 1000"]);
    await collect(sandbox, id, "stdout", { most: 5 });
    await sandbox.fetch(`/v1/commands/${id}`, { method: "DELETE" });
    await ended(sandbox, id);
    expect((await collect(sandbox, id, "stdout")).bytes.toString()).toBe("kept\n");
  });

  test("answers the reader of a silent command at once, and refuses a bad offset", async () => {
    const id = await start(sandbox, ["sleep", "1000"]);
    const response = await sandbox.fetch(`/v1/commands/${id}/stderr`);
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/vnd.atoll.frames"]);
    await response.body?.cancel();
    for (const offset of ["-1", "x", "1.5", "99999999999999999999"]) {
      expect(await problemOf(await sandbox.fetch(`/v1/commands/${id}/stdout?offset=${offset}`))).toMatchObject({
        status: 400,
        slug: "bad-offset",
      });
    }
    await sandbox.fetch(`/v1/commands/${id}`, { method: "DELETE" });
  });
});

describe("the budget", () => {
  test("drops ended commands first, the oldest of them before others", async () => {
    const old = await exec(small, ["head", "-c", String(3 * MIB), "/dev/zero"]);
    const newer = await exec(small, ["head", "-c", String(3 * MIB), "/dev/zero"]);
    await exec(small, ["head", "-c", String(3 * MIB), "/dev/zero"]);
    const answer = await problemOf(await small.fetch(`/v1/commands/${old.id}/stdout`));
    expect(answer).toMatchObject({ status: 410, slug: "output-gone", problem: { firstByte: 3 * MIB } });
    expect((await collect(small, newer.id, "stdout")).bytes.length).toBe(3 * MIB);
    expect((await collect(small, old.id, "stdout", { offset: 3 * MIB })).ended).toEqual({
      kind: "end",
      totalBytes: 3 * MIB,
    });
  }, 60_000);

  test("drops the oldest bytes of a command that nobody reads", async () => {
    const total = 40 * MIB;
    const id = await start(small, ["python3", "-c", PATTERN, String(total), "5"]);
    const { stdout } = await ended(small, id);
    const settled = await until(
      async () => (await ended(small, id)).stdout,
      ({ complete }) => complete,
    );
    expect(stdout.first).toBeGreaterThan(0);
    expect(settled.end).toBe(total);
    expect(settled.end - settled.first).toBeLessThanOrEqual(BUDGET_BYTES);
    expect(settled.end - settled.first).toBeGreaterThan(BUDGET_BYTES / 2);
    expect(await problemOf(await small.fetch(`/v1/commands/${id}/stdout`))).toMatchObject({
      status: 410,
      problem: { firstByte: settled.first },
    });
    const kept = await collect(small, id, "stdout", { offset: settled.first });
    expect(sha(kept.bytes)).toBe(sha(pattern(total).subarray(settled.first)));
  }, 90_000);

  test("makes the writer wait for a slow reader, which gets every byte", async () => {
    const total = 64 * MIB;
    const id = await start(small, ["python3", "-c", PATTERN, String(total), "9"]);
    const response = await small.fetch(`/v1/commands/${id}/stdout`);
    const waiting = await until(
      async () =>
        (await small.fetch(`/v1/commands/${id}?waitMs=300`)).json() as Promise<{
          state: string;
          stdout: { first: number; end: number };
        }>,
      ({ stdout }) => stdout.end > BUDGET_BYTES / 2,
    );
    expect(waiting.state).toBe("running");
    expect(waiting.stdout.end).toBeLessThan(BUDGET_BYTES + 4 * MIB);
    const { bytes, ended: end } = await readFrames(response);
    expect(end).toEqual({ kind: "end", totalBytes: total });
    expect(sha(bytes)).toBe(sha(pattern(total)));
  }, 90_000);

  test("forgets the oldest ended commands when the table is full", async () => {
    const first = await exec(small, ["true"]);
    for (let count = 0; count < 32; count += 1) await exec(small, ["true"]);
    expect(await problemOf(await small.fetch(`/v1/commands/${first.id}`))).toMatchObject({
      status: 404,
      slug: "command-not-found",
    });
  }, 60_000);
});
