import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FRAME_MEDIA_TYPE } from "#api/agent-protocol.ts";
import { createRunDecoder, type RunEvent } from "../../sdk/src/run-frames.ts";
import { until } from "../harness/until.ts";
import { collect, ended, problemOf, type CommandOptions } from "./client.ts";
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
    agentEnv: { ATOLL_JOURNAL_BUDGET_BYTES: String(BUDGET_BYTES), ATOLL_MAX_STREAMS: "2" },
  });
}, 60_000);
afterAll(async () => {
  await sandbox?.[Symbol.asyncDispose]();
  await small?.[Symbol.asyncDispose]();
});

interface Run {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** All frames but data, idle ones left out. */
  readonly ends: RunEvent[];
}

type StartOptions = CommandOptions & { readonly signal?: AbortSignal };

/** Starts a command and asks for its run. */
function begin(on: AgentSandbox, args: readonly string[], options: StartOptions = {}): Promise<Response> {
  const { container = "main", id = randomUUID(), signal, ...rest } = options;
  return on.fetch(`/v1/commands?container=${container}`, {
    method: "POST",
    headers: { accept: FRAME_MEDIA_TYPE },
    body: JSON.stringify({ id, args, ...rest }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** The run until its body ends, breaks, or has given `most` bytes. */
async function read(response: Response, { most = Infinity, pauseMs = 0 } = {}): Promise<Run> {
  if (response.status !== 200 || response.body === null) throw new Error(`No run: ${await response.text()}`);
  const decode = createRunDecoder();
  const pieces: Record<"stdout" | "stderr", Uint8Array[]> = { stdout: [], stderr: [] };
  const ends: RunEvent[] = [];
  let size = 0;
  try {
    for await (const piece of response.body) {
      for (const event of decode(piece)) {
        if (event.kind === "stdout" || event.kind === "stderr") {
          pieces[event.kind].push(event.bytes);
          size += event.bytes.length;
        } else if (event.kind !== "idle") ends.push(event);
      }
      if (size >= most) break;
      if (pauseMs > 0) await sleep(pauseMs);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET" && !/aborted|terminated/.test(String(error)))
      throw error;
  }
  return { stdout: Buffer.concat(pieces.stdout), stderr: Buffer.concat(pieces.stderr), ends };
}

async function run(on: AgentSandbox, args: readonly string[], options: StartOptions = {}): Promise<Run> {
  return read(await begin(on, args, options));
}

function exited(exitCode: number, stdoutBytes: number, stderrBytes: number): RunEvent[] {
  return [{ kind: "exited", exitCode, stdoutBytes, stderrBytes }];
}

/** Writes a known sequence to both outputs by turns, in pieces of random sizes. */
const BOTH = `
${PATTERN_PROGRAM}
at = [0, 0, 0]
while min(at[1:]) < total:
    fd = rng.choice([1, 2])
    at[fd] += os.write(fd, data[at[fd]:at[fd] + rng.choice([1, 2, 100, 4096, 65536, 300000])])
    if rng.random() < 0.02: time.sleep(0.002)
sys.exit(5)
`;

describe("a run", () => {
  test.each([
    [["true"], "", "", 0],
    [["sh", "-c", "printf out; printf err >&2; exit 42"], "out", "err", 42],
    [["sh", "-c", "sleep 0.1; echo late; kill -9 $$"], "late\n", "", -1],
  ])("of %j is one answer", async (args, stdout, stderr, exitCode) => {
    const response = await begin(sandbox, args);
    expect(response.headers.get("content-type")).toBe(FRAME_MEDIA_TYPE);
    const result = await read(response);
    expect([result.stdout.toString(), result.stderr.toString()]).toEqual([stdout, stderr]);
    expect(result.ends).toEqual(exited(exitCode, stdout.length, stderr.length));
  });

  test("of much output on both streams is exact, for a slow reader too, and waits for it", async () => {
    const total = 6 * MIB + 12_345;
    const expected = sha(pattern(total));
    for (const pauseMs of [0, 5]) {
      const result = await read(await begin(sandbox, ["python3", "-c", BOTH, String(total), "3"]), { pauseMs });
      expect([sha(result.stdout), sha(result.stderr)]).toEqual([expected, expected]);
      expect(result.ends).toEqual(exited(5, total, total));
    }
  }, 90_000);

  test("cut at random places goes on exactly by its streams, and has one exit code", async () => {
    const total = 2 * MIB + 77;
    const expected = sha(pattern(total));
    for (let turn = 0; turn < 8; turn += 1) {
      const id = randomUUID();
      const abort = new AbortController();
      const most = (turn * 7919 * 131) % (2 * total);
      const part = await read(
        await begin(sandbox, ["python3", "-c", BOTH, String(total), "5"], { id, signal: abort.signal }),
        { most },
      );
      abort.abort();
      const [out, err] = await Promise.all([
        collect(sandbox, id, "stdout", { offset: part.stdout.length }),
        collect(sandbox, id, "stderr", { offset: part.stderr.length }),
      ]);
      expect(sha(Buffer.concat([part.stdout, out.bytes]))).toBe(expected);
      expect(sha(Buffer.concat([part.stderr, err.bytes]))).toBe(expected);
      expect(await ended(sandbox, id)).toMatchObject({ exitCode: 5 });
    }
  }, 90_000);

  test("of more output than may be kept waits for its reader and loses nothing", async () => {
    const total = 2 * BUDGET_BYTES + 5;
    const result = await read(await begin(small, ["python3", "-c", BOTH, String(total), "9"]), { pauseMs: 2 });
    expect([sha(result.stdout), sha(result.stderr)]).toEqual([sha(pattern(total)), sha(pattern(total))]);
    expect(result.ends).toEqual(exited(5, total, total));
  }, 90_000);

  test("ends with the direct process, though a survivor holds its pipes", async () => {
    const result = await run(sandbox, ["sh", "-c", "(sleep 1000; echo late) & echo started"]);
    expect(result.stdout.toString()).toBe("started\n");
    expect(result.ends).toEqual(exited(0, 8, 0));
  });

  test("ends when the command is killed, or its time is over", async () => {
    const id = randomUUID();
    const response = await begin(sandbox, ["sh", "-c", "echo kept; sleep 1000"], { id });
    await sandbox.fetch(`/v1/commands/${id}`, { method: "DELETE" });
    expect((await read(response)).ends.map(({ kind }) => kind)).toEqual(["exited"]);
    const late = await run(sandbox, ["sh", "-c", "echo kept; sleep 1000"], { timeoutMs: 300 });
    expect([late.stdout.toString(), late.ends]).toEqual(["kept\n", exited(-1, 5, 0)]);
  });

  test("of a silent command begins soon, and the command can be fed", async () => {
    const id = randomUUID();
    const response = await begin(sandbox, ["cat"], { id });
    await sandbox.fetch(`/v1/commands/${id}/stdin`, { method: "POST", body: "fed" });
    await sandbox.fetch(`/v1/commands/${id}/stdin/close`, { method: "POST" });
    expect(await read(response)).toEqual({
      stdout: Buffer.from("fed"),
      stderr: Buffer.alloc(0),
      ends: exited(0, 3, 0),
    });
  });

  test("is repeated whole under its id, and starts nothing twice", async () => {
    const id = randomUUID();
    const args = ["sh", "-c", "echo once >> /root/runs; cat /root/runs"];
    const results = [await run(sandbox, args, { id }), await run(sandbox, args, { id })];
    expect(results.map(({ stdout, ends }) => [stdout.toString(), ends])).toEqual([
      ["once\n", exited(0, 5, 0)],
      ["once\n", exited(0, 5, 0)],
    ]);
    expect(await problemOf(await begin(sandbox, ["false"], { id }))).toMatchObject({ slug: "idempotency-mismatch" });
  });

  test("is refused before the start when there is no place to follow it", async () => {
    const aborts = [new AbortController(), new AbortController()];
    const open = await Promise.all(aborts.map(({ signal }) => begin(small, ["sleep", "1000"], { signal })));
    const id = randomUUID();
    expect(await problemOf(await begin(small, ["true"], { id }))).toMatchObject({ slug: "too-many-requests" });
    expect(await problemOf(await small.fetch(`/v1/commands/${id}`))).toMatchObject({ slug: "command-not-found" });
    const reading = open.map((response) => read(response));
    for (const abort of aborts) abort.abort();
    await Promise.all(reading);
    await until(
      () => begin(small, ["true"]),
      ({ status }) => status === 200,
    );
  });

  test("all of 64 at once are whole", async () => {
    const all = await Promise.all(
      Array.from({ length: 64 }, (_, index) =>
        run(sandbox, ["sh", "-c", `echo out ${index}; echo err ${index} >&2; exit ${index}`]),
      ),
    );
    expect(all.map(({ stdout, stderr, ends }) => [stdout.toString(), stderr.toString(), ends])).toEqual(
      all.map((_, index) => {
        const [stdout, stderr] = [`out ${index}\n`, `err ${index}\n`];
        return [stdout, stderr, exited(index, stdout.length, stderr.length)];
      }),
    );
  }, 60_000);

  test("that the agent's end breaks off has no end, and the next agent says that nobody knows it", async () => {
    const id = randomUUID();
    const args = ["sh", "-c", "echo before; sleep 1000"];
    const reading = read(await begin(sandbox, args, { id }));
    const killer =
      'for f in /proc/[0-9]*/comm; do if [ "$(cat $f)" = bun ]; then p=${f%/comm}; kill -9 ${p#/proc/}; fi; done';
    await begin(sandbox, ["sh", "-c", `sleep 0.2; ${killer}`]).catch(() => undefined);
    expect(await reading).toMatchObject({ ends: [] });
    const repeat = await until(
      () => begin(sandbox, args, { id, signal: AbortSignal.timeout(1000) }).catch(() => undefined),
      (response) => response !== undefined,
    );
    expect(await problemOf(repeat!)).toMatchObject({ status: 409, slug: "outcome-unknown" });
  }, 30_000);
});
