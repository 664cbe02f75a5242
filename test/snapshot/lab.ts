import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { AGENT_CAPABILITIES, CONTAINER_MARK } from "#sidecar/manifest.ts";
import { claim } from "../harness/claim.ts";
import { endSandboxes, sandboxProcesses } from "../harness/strays.ts";

const run = promisify(execFile);
const HOME = process.env["ATOLL_HOME"] ?? "/var/lib/atoll";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP", "KILL"].map(
  (name) => `CAP_${name}`,
);
const MOST_OUTPUT_BYTES = 64 * 1024 * 1024;

/** A gVisor sandbox as the local backend makes them, without Atoll: containers over the base image. */
export interface SnapshotLab extends AsyncDisposable {
  /** For files of the test, on the disk. */
  readonly directory: string;
  /** Of the first container, which may enter the others' roots as an agent may. */
  readonly agentId: string;
  /** Folder of which the agent sees the files at the same path. */
  readonly agentDirectory: string;
  /** Starts a container under a name, from a layer when there is one. The agent sees its processes when they are `shared`. */
  add(name: string, layer?: string, processes?: "own" | "shared"): Promise<void>;
  /** Output of a command in a container. */
  exec(name: string, ...command: readonly string[]): Promise<string>;
  /** What a script of this folder prints in a container. */
  python(name: string, script: string): Promise<string>;
  /** Writes the checkpoint of one container into a new folder. */
  checkpoint(name: string, folder: string): Promise<void>;
  /** gVisor's own archive of a container's changes. */
  tar(name: string, path: string): Promise<void>;
}

export async function startSnapshotLab(): Promise<SnapshotLab> {
  const directory = await mkdtemp(join(tmpdir(), "atoll-snapshot-"));
  claim(directory);
  const state = join(directory, "state");
  const upper = join(directory, "upper");
  const agentDirectory = join(directory, "agent");
  for (const path of [state, upper, agentDirectory, join(directory, "empty")]) await mkdir(path);
  await writeFile(join(directory, "hosts"), "127.0.0.1 localhost\n");
  const image = (await readdir(join(HOME, "images"))).find((name) => name.endsWith(".erofs"));
  if (image === undefined) throw new Error(`There is no image in ${HOME}; run ./atoll up first`);
  const runscPath = process.env["ATOLL_RUNSC"] ?? join(HOME, "bin/runsc");
  const flags = [
    `--root=${state}`,
    `--overlay2=root:dir=${upper}`,
    "--allow-rootfs-tar-annotation",
    "--ignore-cgroups",
    "--network=none",
  ];
  const idOf = (name: string): string => `snapshot-${directory.slice(-6)}-${name}`;
  const begun: string[] = [];

  /** A sandbox inherits the descriptors of who makes it, so they are files and never pipes. */
  async function runsc(...args: readonly string[]): Promise<void> {
    const env = { ...process.env, LOG: join(directory, "runsc.log") };
    await run("sh", ["-c", 'exec "$@" </dev/null >>"$LOG" 2>&1', "sh", runscPath, ...flags, ...args], { env });
  }
  async function create(name: string, annotations: Annotations, change: SpecChange = (made) => made): Promise<void> {
    const bundle = join(directory, "bundles", name);
    await mkdir(bundle, { recursive: true });
    const rootfs = {
      "dev.gvisor.spec.rootfs.source": join(HOME, "images", image ?? ""),
      "dev.gvisor.spec.rootfs.type": "erofs",
      "dev.gvisor.spec.rootfs.overlay": `dir=${upper}`,
      "dev.gvisor.spec.rootfs.options": "size=4g",
    };
    const made = change(spec(directory, { ...rootfs, ...annotations }));
    await writeFile(join(bundle, "config.json"), JSON.stringify(made));
    begun.unshift(idOf(name));
    await runsc("create", "--bundle", bundle, idOf(name));
    await runsc("start", idOf(name));
  }
  const lab: SnapshotLab = {
    directory,
    agentId: idOf("root"),
    agentDirectory,
    add: (name, layer, processes = "own") =>
      create(
        name,
        {
          "io.kubernetes.cri.container-type": "container",
          "io.kubernetes.cri.sandbox-id": idOf("root"),
          "io.kubernetes.cri.container-name": name,
          ...(layer === undefined ? {} : { [`dev.gvisor.tar.rootfs.upper.${name}`]: layer }),
        },
        processes === "own" ? undefined : (made) => sharing(made, name),
      ),
    async exec(name, ...command) {
      const args = [...flags, "exec", idOf(name), ...command];
      return (await run(runscPath, args, { maxBuffer: MOST_OUTPUT_BYTES })).stdout;
    },
    python: (name, script) => lab.exec(name, "python3", `/mnt/${script}`),
    checkpoint: (name, folder) =>
      runsc("fscheckpoint", `--image-path=${folder}`, "--leave-running", `--path=${name}:/`, idOf(name)),
    tar: (name, path) => runsc("tar", "rootfs-upper", "--file", path, idOf(name)),
    async [Symbol.asyncDispose]() {
      try {
        for (const id of begun) await runsc("delete", "--force", id).catch(() => undefined);
        if (sandboxProcesses(state).length > 0) throw new Error("A sandbox is left behind");
      } finally {
        endSandboxes(state);
        await rm(directory, { recursive: true, force: true, maxRetries: 5 });
      }
    },
  };
  try {
    await create("root", { "io.kubernetes.cri.container-type": "sandbox" }, (made) => agentOf(made, agentDirectory));
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
  return lab;
}

type Annotations = Readonly<Record<string, string>>;
type Spec = ReturnType<typeof spec>;
type SpecChange = (made: Spec) => Spec;

/** A container whose main process bears its name, among the agent's processes. */
function sharing({ process, linux, ...made }: Spec, name: string): Spec {
  const namespaces = linux.namespaces.filter(({ type }) => type !== "pid");
  return {
    ...made,
    process: { ...process, env: [...process.env, `${CONTAINER_MARK}=${name}`] },
    linux: { namespaces },
  };
}

/** The container with all capabilities that others have, and those to enter their roots. */
function agentOf({ process, mounts, ...made }: Spec, directory: string): Spec {
  const capabilities = [...AGENT_CAPABILITIES];
  const all = { bounding: capabilities, effective: capabilities, permitted: capabilities };
  const programs = { destination: directory, type: "bind", source: directory, options: ["bind", "ro"] };
  return { ...made, process: { ...process, capabilities: all }, mounts: [...mounts, programs] };
}

function spec(directory: string, annotations: Annotations) {
  const capabilities = { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES };
  const bound = { type: "bind", options: ["bind", "ro"] };
  return {
    ociVersion: "1.2.0",
    process: {
      user: { uid: 0, gid: 0 },
      args: ["sleep", "infinity"],
      env: [PATH, "LANG=C.UTF-8"],
      cwd: "/",
      capabilities,
    },
    root: { path: join(directory, "empty"), readonly: false },
    hostname: "sandbox",
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: [] },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: [] },
      { ...bound, destination: "/etc/hosts", source: join(directory, "hosts") },
      { ...bound, destination: "/mnt", source: import.meta.dirname },
    ],
    annotations,
    linux: { namespaces: ["ipc", "uts", "mount", "network", "pid"].map((type) => ({ type })) },
  };
}
