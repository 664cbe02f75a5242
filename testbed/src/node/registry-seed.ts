import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { systemClock } from "#core/clock.ts";
import { findFreePort } from "#cli/node/gateway-process.ts";
import { imagesDir } from "#cli/setup/node/base-image.ts";
import { runStepTool } from "#cli/setup/node/step-tool.ts";
import type { SetupContext, SetupStep } from "#cli/setup/step.ts";
import { BASE_IMAGE } from "#runtime/backend/local/image-reference.ts";
import { erofsPath, readReference } from "#runtime/backend/local/node/image-files.ts";
import { blobOf, layerOf, type Layer } from "../../../images/node/layer.ts";
import { imageOf, type OciImage } from "../../../images/node/oci-image.ts";
import { pushImage } from "../../../images/node/registry-push.ts";
import { COREDNS, DEBIAN, PAUSE, STAND_INS } from "../images.ts";
import type { Layout } from "../layout.ts";
import { isThere } from "./program-step.ts";

export interface SeedOptions {
  readonly layout: Layout;
  /** Folder with the program `pause`. */
  readonly pause: string;
  /** Folder with the program `coredns`. */
  readonly coredns: string;
  /** The program `registry`. */
  readonly registry: string;
}

/** Raised when images are put together in another way. */
const FORMAT = 1;
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 3 } } as const;

/** Fills the registry that each cluster starts with: Debian, the pause image and CoreDNS. */
export function registrySeedStep(options: SeedOptions): SetupStep {
  return {
    name: "testbed-images",
    title: "Images of the testbed",
    async check({ home }) {
      const folder = await seedFolder(home, options);
      if (folder !== undefined && (await isThere(folder))) return { needed: false, reason: "packed" };
      return { needed: true, reason: "not packed yet" };
    },
    async run(context) {
      const { images } = options.layout;
      const folder = await seedFolder(context.home, options);
      if (folder === undefined) throw new Error("The base image is not there; it comes before the testbed's images.");
      const part = join(images, "part");
      await rm(images, { recursive: true, force: true });
      await mkdir(part, { recursive: true });
      await withRegistry(options.registry, part, context, (url) =>
        pushAll(url, join(images, "work"), options, context),
      );
      await rm(join(images, "work"), { recursive: true, force: true });
      await rename(part, folder);
    },
  };
}

/** Where the filled registry lies; undefined while there is no base image. */
export async function seedFolder(home: string, { layout, pause, coredns }: SeedOptions): Promise<string | undefined> {
  const base = await readReference(imagesDir(home), BASE);
  if (base === undefined) return undefined;
  const inputs = JSON.stringify([FORMAT, base.digest, pause, coredns, PAUSE, COREDNS, DEBIAN, STAND_INS]);
  return join(layout.images, createHash("sha256").update(inputs).digest("hex").slice(0, 12));
}

const BASE = `${BASE_IMAGE}:latest`;

async function pushAll(
  registryUrl: string,
  work: string,
  { pause, coredns }: SeedOptions,
  context: SetupContext,
): Promise<void> {
  const push = async (image: OciImage, name: string): Promise<void> => {
    const [repository = "", tag = ""] = name.split(":");
    await pushImage(image, { registryUrl, repository, tag }, context.signal);
  };
  context.progress({ fraction: 0, detail: "pause, CoreDNS" });
  await push(await singleProgram(join(pause, "pause"), join(work, "pause"), "Pause", context), PAUSE);
  await push(await singleProgram(join(coredns, "coredns"), join(work, "coredns"), "CoreDNS", context), COREDNS);
  const debian = await debianImage(join(work, "debian"), context);
  const names = [DEBIAN, ...STAND_INS];
  for (const [index, name] of names.entries()) {
    context.progress({ fraction: 0.5 + index / names.length / 2, detail: name });
    await push(debian, name);
  }
}

async function singleProgram(
  program: string,
  tree: string,
  title: string,
  { signal }: SetupContext,
): Promise<OciImage> {
  await mkdir(tree, { recursive: true });
  await runStepTool(["cp", program, tree], { signal, failure: `The image of ${title} cannot be made` });
  const entrypoint = [`/${program.split("/").at(-1) ?? ""}`];
  return imageOf({ title, user: "0:0", entrypoint }, "1", [await layerOf(tree)]);
}

/** The base image of the set-up, whose files lie in a file system of their own, as a layer. */
async function debianImage(tree: string, { home, signal, progress }: SetupContext): Promise<OciImage> {
  const base = await readReference(imagesDir(home), BASE);
  if (base === undefined) throw new Error("The base image is not there.");
  progress({ fraction: 0.1, detail: "unpacking Debian" });
  const failure = "The base image cannot be unpacked";
  await runStepTool(["fsck.erofs", `--extract=${tree}`, "--preserve", erofsPath(imagesDir(home), base.digest)], {
    signal,
    failure,
  });
  progress({ fraction: 0.3, detail: "packing Debian" });
  const layer = await archive(tree, signal);
  return imageOf({ title: "Debian of Atoll", user: "0:0", entrypoint: [], cmd: base.config.cmd }, "1", [layer]);
}

/** Keeps owners, modes, links and times, as a Debian needs them. */
async function archive(tree: string, signal: AbortSignal): Promise<Layer> {
  const child = spawn("tar", ["--create", "--sort=name", "--numeric-owner", "--directory", tree, "."], {
    stdio: ["ignore", "pipe", "ignore"],
    signal,
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const [tar, exitCode] = await Promise.all([buffer(child.stdout), ended]);
  if (exitCode !== 0) throw new Error(`The base image cannot be packed: tar ended with exit code ${exitCode}.`);
  const bytes = await promisify(zstdCompress)(tar, LEVEL);
  const { digest: diffId } = blobOf("", tar);
  return { ...blobOf("application/vnd.oci.image.layer.v1.tar+zstd", bytes), diffId, unpackedBytes: tar.byteLength };
}

const START_WITHIN_MS = 10_000;

async function withRegistry(
  program: string,
  storage: string,
  { signal }: SetupContext,
  use: (url: string) => Promise<void>,
): Promise<void> {
  const address = `127.0.0.1:${await findFreePort()}`;
  const config = join(storage, "..", "registry.json");
  await writeFile(
    config,
    JSON.stringify({
      version: "0.1",
      storage: { filesystem: { rootdirectory: storage } },
      http: { addr: address },
      log: { level: "error", accesslog: { disabled: true } },
    }),
  );
  const command = ["--pdeathsig", "KILL", "--", program, "serve", config];
  const child = spawn("setpriv", command, { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  try {
    const deadlineMs = systemClock.now() + START_WITHIN_MS;
    while (
      !(await fetch(`http://${address}/v2/`, { signal }).then(
        ({ ok }) => ok,
        () => false,
      ))
    ) {
      signal.throwIfAborted();
      if (systemClock.now() > deadlineMs || child.exitCode !== null)
        throw new Error("The local registry does not start.");
      await systemClock.sleep(20, signal);
    }
    await use(`http://${address}`);
  } finally {
    child.kill("SIGKILL");
    await ended;
    await rm(config, { force: true });
  }
}

/**
 * Gives a cluster's registry what the seed holds. Blobs never change, so they are shared; the small
 * files that name them are written in place, so they are copied.
 */
export async function plantSeed(seed: string, storage: string, signal: AbortSignal): Promise<void> {
  const failure = "The registry cannot be filled";
  const [from, to] = [join(seed, "docker/registry/v2"), join(storage, "docker/registry/v2")];
  await mkdir(to, { recursive: true });
  await runStepTool(["cp", "-al", join(from, "blobs"), to], { signal, failure });
  await runStepTool(["cp", "-a", join(from, "repositories"), to], { signal, failure });
}
