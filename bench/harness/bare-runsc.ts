import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const HOME = process.env["ATOLL_HOME"] ?? "/var/lib/atoll";

/** gVisor without Atoll: the baseline of most benches. Same root file system, no network, no cgroup. */
export class BareRunsc {
  private readonly dir = mkdtempSync(join(tmpdir(), "atoll-bare-"));
  private readonly erofsPath: string;
  /** A copy on its own: gVisor looks for programs beside itself, and Atoll puts some there. */
  private readonly runscPath = join(this.dir, "runsc");
  private count = 0;

  constructor() {
    const images = readdirSync(join(HOME, "images"), { recursive: true, encoding: "utf8" });
    const erofs = images.find((name) => name.endsWith(".erofs"));
    if (erofs === undefined) throw new Error(`There is no image under ${HOME}/images; run ./atoll up first.`);
    this.erofsPath = join(HOME, "images", erofs);
    for (const name of ["root", "upper", "empty", "bundles"]) mkdirSync(join(this.dir, name));
    writeFileSync(join(this.dir, "resolv.conf"), "");
    copyFileSync(join(HOME, "bin/runsc"), this.runscPath);
  }

  /** `runsc run` of a program from nothing to its end. */
  async run(args: readonly string[]): Promise<void> {
    const id = this.bundle(args);
    await this.call(["run", `--bundle=${this.bundleDir(id)}`, id]);
  }

  /** A container that goes on; answers its id. */
  async start(args: readonly string[]): Promise<string> {
    const id = this.bundle(args);
    await this.call(["create", `--bundle=${this.bundleDir(id)}`, id]);
    await this.call(["start", id]);
    return id;
  }

  /** `runsc exec` of a program; answers the bytes of its standard output. */
  async exec(id: string, args: readonly string[]): Promise<number> {
    return this.call(["exec", id, ...args], () => undefined);
  }

  /** `runsc exec` of a program; answers its standard output. */
  async execText(id: string, args: readonly string[]): Promise<string> {
    const chunks: Buffer[] = [];
    await this.call(["exec", id, ...args], (chunk) => chunks.push(chunk));
    return Buffer.concat(chunks).toString();
  }

  /** `runsc tar` of what a container has changed of its root. */
  async tar(id: string, file: string): Promise<void> {
    await this.call(["tar", "rootfs-upper", "--file", file, id]);
  }

  async remove(id: string): Promise<void> {
    await this.call(["delete", "--force", id]);
  }

  dispose(): void {
    while (spawnSync("umount", ["--lazy", join(this.dir, "root/null-netns")]).status === 0);
    rmSync(this.dir, { recursive: true, force: true });
  }

  private bundleDir(id: string): string {
    return join(this.dir, "bundles", id);
  }

  private bundle(args: readonly string[]): string {
    const id = `bare${String(this.count++).padStart(4, "0")}`;
    mkdirSync(this.bundleDir(id));
    writeFileSync(join(this.bundleDir(id), "config.json"), JSON.stringify(this.spec(args)));
    return id;
  }

  private spec(args: readonly string[]): unknown {
    const resolv = {
      destination: "/etc/resolv.conf",
      type: "bind",
      source: join(this.dir, "resolv.conf"),
      options: ["bind", "ro"],
    };
    return {
      ociVersion: "1.2.0",
      process: { user: { uid: 0, gid: 0 }, args, env: ["PATH=/usr/local/bin:/usr/bin:/bin"], cwd: "/" },
      root: { path: join(this.dir, "empty") },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs" },
        resolv,
      ],
      annotations: {
        "dev.gvisor.spec.rootfs.source": this.erofsPath,
        "dev.gvisor.spec.rootfs.type": "erofs",
        "dev.gvisor.spec.rootfs.overlay": `dir=${join(this.dir, "upper")}`,
      },
      linux: { namespaces: ["pid", "ipc", "uts", "mount", "network"].map((type) => ({ type })) },
    };
  }

  private async call(args: readonly string[], read?: (chunk: Buffer) => unknown): Promise<number> {
    const flags = [
      `--root=${join(this.dir, "root")}`,
      `--overlay2=root:dir=${join(this.dir, "upper")}`,
      "--network=none",
      "--ignore-cgroups",
    ];
    const child = spawn(this.runscPath, [...flags, ...args], {
      stdio: ["ignore", read === undefined ? "ignore" : "pipe", "ignore"],
    });
    let bytes = 0;
    child.stdout?.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      read?.(chunk);
    });
    const code = await new Promise<number | null>((done, fail) => child.once("close", done).once("error", fail));
    if (code !== 0) throw new Error(`runsc ${args.join(" ")} ended with ${code}`);
    return bytes;
  }
}

/** Memory that the machine uses beyond what it would give back at once, in MiB. */
export async function usedMemoryMiB(): Promise<number> {
  const { readFile } = await import("node:fs/promises");
  await sleep(1500);
  const text = await readFile("/proc/meminfo", "utf8");
  const of = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return (of("MemTotal") - of("MemFree") - of("Buffers") - of("Cached") - of("SReclaimable") + of("Shmem")) / 1024;
}
