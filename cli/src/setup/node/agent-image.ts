import { createHash } from "node:crypto";
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { BASE_RECIPE_ID } from "../base-image-recipe.ts";
import type { SetupContext, SetupStep } from "../step.ts";
import { glibcDir } from "./glibc.ts";
import { runStepTool } from "./step-tool.ts";
import { packErofsCommand } from "#runtime/backend/local/node/image-erofs.ts";
import { AGENT_FILES } from "#sidecar/manifest.ts";
import { prepareImageTree } from "#runtime/backend/local/node/image-tree.ts";

export interface AgentImageOptions {
  /** Compiles the agent: leaves `agent.js`, `libatoll.so`, `atoll-init`, `atoll-losses`, `atoll-hold` and `sentry-prewarmer` in the folder. */
  readonly buildAgent: (outDir: string) => Promise<unknown>;
}

const PARTS = [
  { name: "agent.js", target: AGENT_FILES.program, mode: 0o644 },
  { name: "libatoll.so", target: AGENT_FILES.library, mode: 0o755 },
  { name: "atoll-init", target: AGENT_FILES.supervisor, mode: 0o755 },
  { name: "atoll-losses", target: AGENT_FILES.losses, mode: 0o755 },
] as const;
const FOLDERS = ["run/atoll", "var/lib/atoll/journal", "root"] as const;
const LOADERS: Readonly<Record<string, string>> = {
  x64: "/lib64/ld-linux-x86-64.so.2",
  arm64: "/lib/ld-linux-aarch64.so.1",
};
/** Folders of the checkout that the agent is made of. */
const SOURCES = ["sidecar", "api/src", "core/src"] as const;
/** Raised when this file puts the image together in another way. */
const LAYOUT = 4;

/** Builds the agent's own small root file system: Bun, the base image's C library and the agent. */
export function agentImageStep(options: AgentImageOptions): SetupStep {
  return {
    name: "agent-image",
    title: "Agent image",
    async check({ home, repo }) {
      const wanted = await inputsDigest(repo);
      const built = await readFile(stampPath(home), "utf8").catch(() => undefined);
      const image = await stat(imagePath(home)).catch(() => undefined);
      if (built === wanted && image !== undefined) return { needed: false, reason: wanted.slice(0, 12) };
      return { needed: true, reason: image === undefined ? "it is not built" : "its sources changed" };
    },
    async run(context) {
      const { home, repo, signal } = context;
      const inputs = await inputsDigest(repo);
      const work = join(home, "setup", "agent-image");
      const [root, file] = [join(work, "root"), join(work, "rootfs.erofs")];
      await rm(work, { recursive: true, force: true });
      await mkdir(root, { recursive: true });
      context.progress({ fraction: 0.1, detail: "compiling the agent" });
      await layRoot(root, join(work, "built"), options, context);
      context.progress({ fraction: 0.8, detail: "packing" });
      await runStepTool(packErofsCommand(root, file), { signal, failure: "The agent image cannot be packed" });
      await mkdir(join(home, "agent"), { recursive: true });
      await placeHostParts(home, join(work, "built"));
      await placeDurably(file, imagePath(home));
      await writeFile(stampPath(home), inputs);
      await rm(work, { recursive: true });
    },
  };
}

async function layRoot(root: string, built: string, options: AgentImageOptions, context: SetupContext): Promise<void> {
  const { home, repo, signal } = context;
  await mkdir(built, { recursive: true });
  await options.buildAgent(built);
  signal.throwIfAborted();
  context.progress({ fraction: 0.6, detail: "putting the image together" });
  await cp(glibcDir(home), root, { recursive: true, verbatimSymlinks: true });
  for (const path of FOLDERS) await mkdir(join(root, path), { recursive: true });
  for (const { name, target, mode } of PARTS) await place(join(built, name), join(root, target), mode);
  await place(bunPath(repo), join(root, AGENT_FILES.runtime), 0o755);
  await mkdir(join(root, "etc"), { recursive: true });
  await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/\n");
  await writeFile(join(root, "etc/group"), "root:x:0:\n");
  await prepareImageTree(root);
  await proveItLoads(root, signal);
}

async function place(from: string, to: string, mode: number): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
  await chmod(to, mode);
}

/** Puts down the programs that the host runs, and not the agent's container. */
async function placeHostParts(home: string, built: string): Promise<void> {
  const sidecars = join(home, "bin/gvisor-bin");
  await mkdir(sidecars, { recursive: true });
  for (const [name, target] of [
    ["atoll-hold", join(home, "agent/atoll-hold")],
    ["sentry-prewarmer", join(sidecars, "gvisor-sentry-prewarmer")],
  ] as const) {
    await chmod(join(built, name), 0o755);
    await placeDurably(join(built, name), target);
  }
  // The prewarmer cannot start "itself", which is how runsc names the kernel's program unless it finds one here.
  await rm(join(sidecars, "gvisor_sentry"), { force: true });
  await symlink("../runsc", join(sidecars, "gvisor_sentry"));
}

/** The native parts are compiled against this machine's C library and run with the base image's: a mismatch shall show here. */
async function proveItLoads(root: string, signal: AbortSignal): Promise<void> {
  const failure = "The agent does not load with the C library of the base image";
  const loader = LOADERS[process.arch];
  if (loader === undefined) throw new Error(`${failure}: there is none for ${process.arch}.`);
  for (const part of [AGENT_FILES.runtime, AGENT_FILES.library]) {
    await runStepTool(["chroot", root, loader, "--list", part], { signal, failure });
  }
}

async function placeDurably(from: string, to: string): Promise<void> {
  const file = await open(from, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(from, to);
}

async function inputsDigest(repo: string): Promise<string> {
  const bun = await stat(bunPath(repo));
  const hash = createHash("sha256").update(`${LAYOUT} ${BASE_RECIPE_ID} ${bun.size} ${bun.mtimeMs}\n`);
  for (const folder of SOURCES) {
    const entries = await readdir(join(repo, folder), { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile() && !entry.name.includes(".test."))
      .map((entry) => join(entry.parentPath, entry.name));
    for (const path of paths.sort()) {
      hash.update(`${path.slice(repo.length)}\n`).update(await readFile(path));
    }
  }
  return hash.digest("hex");
}

function imagePath(home: string): string {
  return join(home, "agent", "rootfs.erofs");
}

function stampPath(home: string): string {
  return join(home, "agent", "inputs.sha256");
}

function bunPath(repo: string): string {
  const architecture = process.arch === "arm64" ? "aarch64" : process.arch;
  return join(repo, "node_modules/@oven", `bun-linux-${architecture}`, "bin/bun");
}
