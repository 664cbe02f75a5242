import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findLosses } from "./find-losses.ts";

const CLEAN = "sockets 0\nattributes 0\ncapabilities 0\nroot 755 0 0\nend 1 0 0\n";
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-losses-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Asks a program in gVisor's place. */
async function ask(script: string, options: { timeoutMs?: number; signal?: AbortSignal } = {}) {
  const path = join(dir, "runsc");
  await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const agent = { containerId: "agent-id", program: "/sbin/look" };
  const signal = options.signal ?? new AbortController().signal;
  const timeoutMs = options.timeoutMs ?? 30_000;
  return findLosses({ runsc: { path, rootDir: "/state" }, agent, containerName: "main", timeoutMs, signal });
}
const said = async (...args: Parameters<typeof ask>) => {
  const { warnings } = await ask(...args);
  expect(warnings.map(({ code }) => code)).toEqual(["LossesUnknown"]);
  return warnings[0]?.message;
};

describe("findLosses()", () => {
  test("runs the program in the agent's container, for less time than it waits itself", async () => {
    await ask(`echo "$*" >${dir}/args`);
    const args = await readFile(join(dir, "args"), "utf8");
    expect(args).toBe("--root=/state exec --cwd=/ agent-id /sbin/look main 24\n");
  });

  test("believes a whole answer, however the call itself ended and whoever wrote it", async () => {
    const gone = `(sleep 0.1; printf '${CLEAN.replaceAll("\n", "\\n")}') & echo "sandbox is not running" >&2; exit 128`;
    expect(await ask(gone)).toEqual({ warnings: [], root: { mode: 0o755, uid: 0, gid: 0 } });
  });

  test.each([
    ["no such container", "exit 2", "its main process was not found"],
    [
      "gVisor's refusal",
      "echo first >&2; printf 'no such \\033[1mfile\\n' >&2; exit 128",
      'gVisor says "no such ?[1mfile"',
    ],
    ["half an answer", "echo sockets 0", "no answer that could be read"],
    ["an endless answer", "yes", "the answer was too long"],
    ["endless words", "head -c 1000000 /dev/zero >&2; exit 1", "gVisor says"],
  ])("makes of %s a warning", async (_, script, words) => {
    expect(await said(script)).toContain(words);
  });

  test("waits no longer than it was told to, nor for a program that holds the answer open", async () => {
    expect(await said("sleep 3 & exit 0", { timeoutMs: 200 })).toContain("longer than 200 ms");
  });

  test("leaves with its caller, and without a program at once", async () => {
    const leave = new AbortController();
    const asked = said("sleep 3", { signal: leave.signal });
    leave.abort(new Error("the snapshot was given up"));
    expect(await asked).toContain("given up");
    expect(await said("", { signal: leave.signal })).toContain("given up");
    await rm(join(dir, "runsc"));
    const agent = { containerId: "a", program: "/p" };
    const question = { agent, containerName: "main", timeoutMs: 1000, signal: new AbortController().signal };
    const { warnings } = await findLosses({ ...question, runsc: { path: join(dir, "none"), rootDir: "/" } });
    expect(warnings[0]?.message).toContain("ENOENT");
  });
});
