import { readdir, readFile, readlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { addressOf, isDaemon, type ContainerdProcess } from "../domain/containerd-process.ts";

/** Daemons named containerd in this process namespace; those of nodes in containers are not the node's own. */
export async function findContainerds(): Promise<readonly ContainerdProcess[]> {
  const own = await readlink("/proc/self/ns/pid");
  const found = await Promise.all((await pids()).map((pid) => containerdOf(pid, own)));
  return found.filter((one) => one !== undefined);
}

/** The socket of the containerd under which a process runs: the shim above it names it. */
export async function ownContainerdSocket(pid: number): Promise<string | undefined> {
  for (let here = pid; here > 1; here = await parentOf(here)) {
    const args = await argumentsOf(here);
    if (basename(args[0] ?? "").startsWith("containerd-shim")) return addressOf({ args });
  }
  return undefined;
}

/** Programs and arguments of all processes, in one text each. */
export async function processTexts(): Promise<readonly string[]> {
  return Promise.all(
    (await pids()).map(async (pid) => {
      const program = await readlink(`/proc/${pid}/exe`).catch(() => "");
      return [program, ...(await argumentsOf(pid))].join("\n");
    }),
  );
}

async function containerdOf(pid: number, namespace: string): Promise<ContainerdProcess | undefined> {
  const args = await argumentsOf(pid);
  if (basename(args[0] ?? "") !== "containerd" || !isDaemon(args)) return undefined;
  try {
    if ((await readlink(`/proc/${pid}/ns/pid`)) !== namespace) return undefined;
    const exe = (await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, "");
    return {
      pid,
      parentPid: await parentOf(pid),
      // One program with many names, as that of k3s, does what its name says.
      program: basename(exe) === "containerd" ? exe : join(dirname(exe), "containerd"),
      args,
      cwd: await readlink(`/proc/${pid}/cwd`),
      cgroup: await readFile(`/proc/${pid}/cgroup`, "utf8"),
    };
  } catch {
    // It ended meanwhile.
    return undefined;
  }
}

async function pids(): Promise<readonly number[]> {
  return (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
}

async function argumentsOf(pid: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return text.split("\0").slice(0, -1);
}

async function parentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^PPid:\t(\d+)/m.exec(status)?.[1] ?? 0);
}
