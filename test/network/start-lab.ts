import { spawn, type ChildProcess } from "node:child_process";
import { access } from "node:fs/promises";
import { createInterface } from "node:readline";
import { testRootfs } from "../harness/test-rootfs.ts";

export interface Lab {
  readonly child: ChildProcess;
  /** The first line that the lab prints. */
  readonly line: Promise<string>;
}

/**
 * Starts a lab as the first process of fresh network, mount and process namespaces. When it ends, or
 * whoever started it, the kernel takes everything down with it: programs, links, rules, mounts.
 */
export async function startLab(program: "flows.ts" | "life.ts", mode = "run"): Promise<Lab> {
  const rootfs = testRootfs();
  const runsc = process.env["ATOLL_RUNSC"] ?? "/var/lib/atoll/bin/runsc";
  if (process.getuid?.() !== 0) throw new Error("The network lab needs root: it makes network namespaces");
  await Promise.all([rootfs, runsc].map((path) => access(path)));
  const main = new URL(`lab/${program}`, import.meta.url).pathname;
  const lab = [process.execPath, "--disable-warning=ExperimentalWarning", main, rootfs, runsc, mode];
  const script = 'mount -t tmpfs tmpfs /run && exec "$@"';
  const namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--"];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...namespaces, "sh", "-c", script, "sh", ...lab], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const line = new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.on("error", reject);
    child.on("exit", () => reject(new Error("The network lab ended before it reported")));
  });
  return { child, line };
}
