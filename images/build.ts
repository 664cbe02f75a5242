import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { assembleProgram, LAYERS, type AssembleOptions } from "./node/assemble.ts";
import { layerOf } from "./node/layer.ts";
import { imageOf, writeLayout, type OciImage } from "./node/oci-image.ts";
import { pushImage } from "./node/registry-push.ts";
import { PROGRAM_NAMES, PROGRAMS, type ProgramName } from "./programs.ts";
import manifest from "../package.json" with { type: "json" };

const USAGE = `Builds Atoll's container images without a container engine.

  node images/build.ts [options] PROGRAM...   ${PROGRAM_NAMES.join(", ")}, or all
    --push ADDRESS    send them to a registry, as localhost:5000 (plain HTTP on loopback) or https://...
    --layout DIR      write each as an OCI image layout to DIR/PROGRAM
    --tag TAG         tag (${manifest.version})
    --gvisor DIR      folder with runsc and containerd-shim-runsc-v1, for the installer's image
  node images/build.ts --tree DIR PROGRAM     the files of an image alone: what its Dockerfile copies
`;

/** Builds a program's image; the same sources, runtimes and C library give the same digests. */
export async function buildImage(name: ProgramName, options: AssembleOptions = {}): Promise<OciImage> {
  const work = await mkdtemp(join(tmpdir(), "atoll-image-"));
  try {
    await assembleProgram(name, work, options);
    const layers = [];
    for (const layer of LAYERS) layers.push(await layerOf(join(work, layer)));
    return imageOf(PROGRAMS[name], manifest.version, layers);
  } finally {
    await rm(work, { recursive: true });
  }
}

async function main(args: readonly string[]): Promise<void> {
  const string = { type: "string" } as const;
  const options = { push: string, layout: string, tag: string, gvisor: string, tree: string } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const names = positionals.includes("all") ? PROGRAM_NAMES : positionals.map(programOf);
  if (names.length === 0) throw new RangeError(USAGE);
  const assemble = values.gvisor === undefined ? {} : { gvisorDir: resolve(values.gvisor) };
  const tag = values.tag ?? manifest.version;
  for (const name of names) {
    if (values.tree !== undefined) {
      await assembleProgram(name, resolve(values.tree), assemble);
      continue;
    }
    const image = await buildImage(name, assemble);
    if (values.layout !== undefined) await writeLayout(join(values.layout, name), image, tag);
    if (values.push !== undefined) {
      const target = { registryUrl: registryUrl(values.push), repository: `atoll-${name}`, tag };
      await pushImage(image, target, AbortSignal.timeout(PUSH_TIMEOUT_MS));
    }
    process.stdout.write(`${report(name, image)}\n`);
  }
}

const PUSH_TIMEOUT_MS = 300_000;

function programOf(text: string): ProgramName {
  const name = PROGRAM_NAMES.find((known) => known === text);
  if (name === undefined) throw new RangeError(`There is no program ${text}: use one of ${PROGRAM_NAMES.join(", ")}.`);
  return name;
}

function registryUrl(address: string): string {
  if (/^https?:\/\//.test(address)) return address;
  return `${/^(localhost|127\.)/.test(address) ? "http" : "https"}://${address}`;
}

function report(name: string, { manifest: { digest }, layers }: OciImage): string {
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const sizes = layers.map(
    (layer, index) => `${LAYERS[index]} ${mib(layer.bytes.byteLength)} (${mib(layer.unpackedBytes)} unpacked)`,
  );
  return `atoll-${name} ${digest}: ${sizes.join(", ")}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
