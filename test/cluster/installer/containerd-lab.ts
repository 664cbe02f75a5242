import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createWriteStream } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createInstaller, type Installer, type InstallerOptions } from "#installer/installer.ts";
import { createCri } from "#installer/node/cri-client.ts";
import { createHost } from "#installer/node/host.ts";
import { createReleaseStore } from "#installer/node/release-store.ts";
import { systemClock } from "#core/clock.ts";
import { silentLog } from "#core/log.ts";
import { layerOf } from "../../../images/node/layer.ts";
import { imageOf, writeLayout } from "../../../images/node/oci-image.ts";
import { openTestbed } from "../../harness/testbed.ts";

const run = promisify(execFile);
const REPOSITORY = join(import.meta.dirname, "../../..");
/** containerd, its like, CNI's programs and gVisor, as the testbed has them. */
const { layout } = await openTestbed();
const [BIN, CNI, GVISOR] = [layout.bin, layout.bin, layout.gvisor];
const PAUSE = "localhost/pause:1";

/** A containerd of its own, with all it needs in one folder, which something starts again when it ends. */
export interface ContainerdLab {
  readonly dir: string;
  readonly configPath: string;
  readonly gvisorDir: string;
  readonly sourceDir: string;
  readonly socket: string;
  /** How often it was started. */
  starts(): number;
  config(): Promise<string>;
  installer(options?: Partial<InstallerOptions>): Installer;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `config` makes the configuration's text from what this machine needs, given in version 3. */
export async function startContainerd(config: (needs: string, dir: string) => string): Promise<ContainerdLab> {
  const dir = await mkdtemp(join(tmpdir(), "installer-"));
  const [configPath, socket] = [join(dir, "config.toml"), join(dir, "run/containerd.sock")];
  const [gvisorDir, sourceDir] = [join(dir, "gvisor"), join(dir, "source")];
  await mkdir(join(dir, "cni"), { recursive: true });
  await cp(GVISOR, sourceDir, { recursive: true, dereference: true, filter: (path) => !path.endsWith(".json") });
  await writeFile(join(dir, "cni/10-pod.conflist"), cniConfig(dir));
  await writeFile(configPath, config(needsOf(dir), dir));
  await run("cc", [
    "-O2",
    "-static",
    "-o",
    join(dir, "enter-host"),
    join(REPOSITORY, "infra/installer/native/enter-host.c"),
  ]);

  const log = createWriteStream(join(dir, "log"));
  let starts = 0;
  let wanted = true;
  let child: ChildProcess | undefined;
  const start = (): void => {
    starts += 1;
    child = spawn(join(BIN, "containerd"), ["--config", configPath], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PATH: `${BIN}:${process.env["PATH"]}` },
    });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    child.once("exit", () => {
      if (wanted) start();
    });
  };
  start();
  await importPause(dir, socket);

  return {
    dir,
    configPath,
    gvisorDir,
    sourceDir,
    socket,
    starts: () => starts,
    config: () => readFile(configPath, "utf8"),
    installer: (options = {}) =>
      createInstaller(
        {
          host: createHost({ root: "/", enterHost: join(dir, "enter-host") }),
          releases: createReleaseStore({ root: "/", gvisorDir, sourceDir }),
          cri: createCri("/"),
          log: silentLog,
        },
        {
          clock: systemClock,
          handler: "runsc",
          gvisorDir,
          configPath,
          restart: "signal",
          restartTimeoutMs: 20_000,
          networkTimeoutMs: 20_000,
          ...options,
        },
      ),
    async [Symbol.asyncDispose]() {
      wanted = false;
      const ended = child?.exitCode === null ? once(child, "exit") : undefined;
      child?.kill("SIGTERM");
      await ended;
      log.end();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Pods without containers that containerd knows. */
export async function podCount({ socket }: ContainerdLab): Promise<number> {
  const { stdout } = await run(join(BIN, "ctr"), ["-a", socket, "-n", "k8s.io", "containers", "ls", "-q"]);
  return stdout.split("\n").filter((line) => line !== "").length;
}

function needsOf(dir: string): string {
  const plugin = "io.containerd.cri.v1.runtime";
  return `version = 3
root = "${dir}/root"
state = "${dir}/state"
[grpc]
  address = "${dir}/run/containerd.sock" # the kubelet's
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${PAUSE}"
[plugins."${plugin}"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."${plugin}".cni]
    bin_dirs = ["${CNI}"]
    conf_dir = "${dir}/cni"
`;
}

function cniConfig(dir: string): string {
  const subnet = `10.${randomInt(200, 250)}.${randomInt(256)}.0/29`;
  const ipam = { type: "host-local", dataDir: join(dir, "cni-addresses"), ranges: [[{ subnet }]] };
  return JSON.stringify({ cniVersion: "0.4.0", name: `lab${randomInt(1e6)}`, plugins: [{ type: "ptp", ipam }] });
}

async function importPause(dir: string, socket: string): Promise<void> {
  const tree = join(dir, "pause-tree");
  await mkdir(tree);
  await writeFile(join(dir, "pause.c"), "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n");
  await run("cc", ["-static", "-o", join(tree, "pause"), join(dir, "pause.c")]);
  const program = { title: "pause", user: "0:0", entrypoint: ["/pause"] } as const;
  const image = imageOf(program, "1", [await layerOf(tree)]);
  await writeLayout(join(dir, "layout"), image, "1");
  await run("tar", ["cf", join(dir, "pause.tar"), "-C", join(dir, "layout"), "."]);
  const command = [
    "-a",
    socket,
    "-n",
    "k8s.io",
    "images",
    "import",
    "--no-unpack",
    "--base-name",
    "localhost/pause",
    join(dir, "pause.tar"),
  ];
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      await run(join(BIN, "ctr"), command);
      return;
    } catch (error) {
      // It does not listen at once.
      if (Date.now() > deadline) throw error;
      await systemClock.sleep(100);
    }
  }
}
