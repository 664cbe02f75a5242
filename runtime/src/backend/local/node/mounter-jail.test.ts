import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { jailed } from "./mounter-jail.ts";

let home = "";
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "atoll-jail-"));
  for (const name of ["jail", "readable", "writable", "hidden"]) await mkdir(join(home, name));
  await writeFile(join(home, "readable/file"), "said");
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function run(script: string): Promise<string> {
  const plan = {
    jailDir: join(home, "jail"),
    readable: [join(home, "readable"), join(home, "absent")],
    writable: [join(home, "writable")],
  };
  const [program = "", ...words] = jailed(plan, ["sh", "-c", script]);
  return (await promisify(execFile)(program, words, { cwd: "/" })).stdout;
}

describe("jailed()", () => {
  test("lets a program read and write what is named, where it is, and nothing else", async () => {
    const script = `cat ${home}/readable/file; echo -n done > ${home}/writable/mine; ls ${home}`;
    expect(await run(script)).toBe("saidreadable\nwritable\n");
    expect(await readFile(join(home, "writable/mine"), "utf8")).toBe("done");
    const denied = [`${home}/readable/file`, "/usr/bin/mine", "/proc/sys/kernel/core_pattern"];
    for (const path of denied) expect(await run(`(: >> ${path}) 2>&1 || true`)).toMatch(/Read-only/);
    expect(await run("cat /etc/shadow 2>&1 || true")).toMatch(/No such file/);
  });

  test("takes its capabilities, its other processes and its way to more", async () => {
    const status = await run("cat /proc/self/status");
    expect(/CapPrm:\s*0+\n.*CapEff:\s*0+\nCapBnd:\s*0+\n/s.test(status)).toBe(true);
    expect(status).toMatch(/NoNewPrivs:\s*1/);
    expect(await run(`kill -0 ${process.pid} 2>&1 || true`)).toMatch(/No such process/);
    expect(await run("mount -t tmpfs none /tmp 2>&1 || true")).toMatch(/permission denied|must be superuser/i);
  });

  test("ends with the process that asked for it", async () => {
    const [program = "", ...words] = jailed(
      { jailDir: join(home, "jail"), readable: [], writable: [join(home, "writable")] },
      ["sh", "-c", `echo up; sleep 1000`],
    );
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "ignore"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const ended = new Promise((resolve) => child.stdout.once("close", () => resolve("closed")));
    child.kill("SIGKILL");
    // Nobody holds the other end of the pipe any more.
    expect(await ended).toBe("closed");
  });
});
