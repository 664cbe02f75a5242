import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { AGENT_FILES } from "./src/manifest.ts";

const run = promisify(execFile);
const SIDECAR = dirname(fileURLToPath(import.meta.url));
const WARNINGS = ["-O2", "-Wall", "-Wextra"];
/** For a program without the C library and what it does before `main`. */
const BARE = ["-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"];

/** Builds the agent into a directory: `agent.js`, `libatoll.so`, `atoll-init` and `atoll-losses`; and for the host `atoll-hold`, which containers start with, and `sentry-prewarmer`, which gVisor does. Needs a C compiler, `cc`. */
export async function buildAgent(outDir: string): Promise<void> {
  await mkdir(outDir, { recursive: true });
  const native = (name: string): string => join(SIDECAR, "native", name);
  await Promise.all([
    run("cc", [...WARNINGS, "-shared", "-fPIC", "-o", join(outDir, "libatoll.so"), native("atoll.c"), "-lpthread"]),
    run("cc", [...WARNINGS, ...BARE, "-o", join(outDir, "atoll-init"), native("atoll-init.c")]),
    ...["atoll-losses", "atoll-hold", "sentry-prewarmer"].map((name) =>
      run("cc", [...WARNINGS, "-static", "-o", join(outDir, name), native(`${name}.c`)]),
    ),
    bundleAgent(join(outDir, "agent.js")),
  ]);
}

/** Bundles the agent's program into one file; gives the files and modules it is made of. */
export async function bundleAgent(outFile: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [join(SIDECAR, "src/entry/main.ts")],
    outfile: outFile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2024",
    minify: true,
    // Tells Bun that there is nothing left to translate: it need not parse the program before it runs it.
    banner: { js: "// @bun" },
    external: ["bun:ffi"],
    metafile: true,
    logLevel: "error",
  });
  return Object.entries(metafile.inputs).flatMap(([path, { imports }]) => [path, ...imports.map((used) => used.path)]);
}

/** Makes the agent's root file system: the built parts, the runtime at `bunPath`, and the libraries it loads. */
export async function assembleAgentRoot(
  rootDir: string,
  options: { readonly agentDir: string; readonly bunPath: string },
): Promise<void> {
  for (const directory of ["dev", "etc", "proc", "run", "tmp", "var/lib/atoll"])
    await mkdir(join(rootDir, directory), { recursive: true });
  const put = async (from: string, to: string): Promise<void> => {
    await mkdir(dirname(join(rootDir, to)), { recursive: true });
    await copyFile(from, join(rootDir, to));
    await chmod(join(rootDir, to), 0o755);
  };
  await put(options.bunPath, AGENT_FILES.runtime);
  await put(join(options.agentDir, "atoll-init"), AGENT_FILES.supervisor);
  await put(join(options.agentDir, "agent.js"), AGENT_FILES.program);
  await put(join(options.agentDir, "libatoll.so"), AGENT_FILES.library);
  await put(join(options.agentDir, "atoll-losses"), AGENT_FILES.losses);
  for (const library of await librariesOf(options.bunPath)) {
    await put(await realpath(library), library.includes("/ld-") ? library : join("/lib", basename(library)));
  }
}

/** Shared libraries that a program loads, its loader included. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run("ldd", [program]);
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? []);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildAgent(process.argv[2] ?? "sidecar/dist");
