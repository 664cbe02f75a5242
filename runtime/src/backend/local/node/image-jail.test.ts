import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runJailed } from "./image-jail.ts";
import { ToolError } from "./image-tool.ts";

const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const options = { signal: new AbortController().signal, env };
let dir: string;
let dirs: { workDir: string; jailDir: string };

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-jail-"));
  dirs = { workDir: join(dir, "work"), jailDir: join(dir, "jail") };
  await mkdir(dirs.workDir);
});
afterEach(() => rm(dir, { recursive: true }));

/** Runs a shell script in the jail and answers what it left in `out`. */
async function report(script: string): Promise<string> {
  await runJailed(["sh", "-c", `{ ${script}; } > /work/out 2>&1`], dirs, options);
  return readFile(join(dirs.workDir, "out"), "utf8");
}

describe("runJailed()", () => {
  test("shows a tool nothing of this machine but its programs and the work directory", async () => {
    expect((await report("ls /")).split("\n").filter((name) => !/^(bin|sbin|lib\d*|usr|)$/.test(name))).toEqual([
      "work",
    ]);
  });

  test("gives a tool no network, not even loopback", async () => {
    const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const connect = `bash -c 'exec 3<>/dev/tcp/127.0.0.1/${port}' && echo connected || echo refused`;
    expect(await report(connect)).toContain("refused");
    server.close();
  });

  test("lets a tool write nowhere else, even above its root", async () => {
    const script = "touch /usr/marker || echo refused; touch /work/../../../../../../marker; ls /marker";
    expect(await report(script)).toMatch(/refused\n\/marker\n$/);
    expect((await readdir("/")).includes("marker")).toBe(false);
    expect((await readdir("/usr")).includes("marker")).toBe(false);
  });

  test("leaves no mount behind and reports the tool's failure", async () => {
    await expect(runJailed(["sh", "-c", "echo why >&2; exit 3"], dirs, options)).rejects.toThrow(ToolError);
    expect(await readFile("/proc/self/mounts", "utf8")).not.toContain(dir);
  });

  test("ends the tool and its children when aborted", async () => {
    const abort = new AbortController();
    const running = runJailed(["sh", "-c", "echo begun > /work/begun; sleep 1000 & sleep 1000"], dirs, {
      ...options,
      signal: abort.signal,
    });
    const outcome = Promise.allSettled([running]);
    await expect.poll(() => readdir(dirs.workDir), { interval: 10 }).toContain("begun");
    abort.abort(new Error("enough"));
    expect(await outcome).toMatchObject([{ status: "rejected", reason: { message: "enough" } }]);
  });
});
