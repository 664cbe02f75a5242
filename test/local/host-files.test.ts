import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Atoll } from "#sdk";
import { startGateway, runDirOf, type GatewayProcess } from "../harness/gateway-process.ts";

const image = "atoll/debian";
const ACCESS_MODE = 0o3;

/** Regular files of the host that a process may write to, but the one in which gVisor says why it gives up. */
function writableFiles(pid: number): string[] {
  const lastWords = /--log-fd=(\d+)/.exec(readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.[1];
  const fds = readdirSync(`/proc/${pid}/fd`).filter((fd) => fd !== lastWords);
  return fds.flatMap((fd) => {
    try {
      const flags = Number.parseInt(
        /flags:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"))?.[1] ?? "0",
        8,
      );
      const path = `/proc/${pid}/fd/${fd}`;
      return (flags & ACCESS_MODE) !== 0 && statSync(path).isFile() ? [readlinkSync(path)] : [];
    } catch {
      return [];
    }
  });
}

/** Kernels and gofers of a home's sandboxes. */
function processesOf(home: string): number[] {
  const root = `--root=${join(runDirOf(home), "runsc")}`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const [program = "", ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return /^runsc-(sandbox|gofer)$/.test(program) && args.includes(root);
      } catch {
        return false;
      }
    });
}

describe("what a sandbox can make the host write", { timeout: 60_000 }, () => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = await startGateway();
  }, 60_000);
  afterAll(() => gateway.dispose(), 60_000);

  it("is its disks, which are bounded, and the reason of a panic, which comes once", async () => {
    const sandbox = await new Atoll({ url: gateway.url }).sandboxes.create({ image });
    await sandbox.commands.run(["sh", "-c", "echo x > /root/x; echo y > /tmp/y"]);
    const processes = processesOf(gateway.home);
    expect(processes.length).toBeGreaterThan(1);
    const boots = join(gateway.home, "boots");
    const files = [...new Set(processes.flatMap(writableFiles))];
    const others = files.filter((path) => {
      const isDisk = path.startsWith(boots) && /^\/[^/]+\/upper\//.test(path.slice(boots.length));
      const isMemory = path.startsWith("/memfd:");
      return !isDisk && !isMemory && !(path.startsWith(boots) && path.endsWith("/panic.log"));
    });
    expect(files.some((path) => path.includes("/upper/"))).toBe(true);
    expect(others).toEqual([]);
    await sandbox.delete();
  });
});
