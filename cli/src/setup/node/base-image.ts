import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { debianMirror, parseAptSources, type AptSource } from "../apt-sources.ts";
import {
  BASE_CONFIG,
  BASE_PACKAGES,
  BASE_RECIPE_ID,
  debootstrapProgress,
  type DebootstrapCounts,
} from "../base-image-recipe.ts";
import type { SetupContext, SetupStep } from "../step.ts";
import { finishBaseTree } from "./base-tree.ts";
import { copyGlibc, glibcDir } from "./glibc.ts";
import { runStepTool } from "./step-tool.ts";
import { BASE_IMAGE } from "#runtime/backend/local/image-reference.ts";
import { packErofsCommand } from "#runtime/backend/local/node/image-erofs.ts";
import { digestFile, installImage, installReference, readReference } from "#runtime/backend/local/node/image-files.ts";
import { prepareImageTree } from "#runtime/backend/local/node/image-tree.ts";

/** Installed last: where it is, all of the image is. */
const RECIPE_REFERENCE = `${BASE_IMAGE}:recipe-${BASE_RECIPE_ID}`;

/** Builds the image `atoll/debian` from the machine's own Debian mirror, so that a first sandbox needs no registry of images. */
export const baseImageStep: SetupStep = {
  name: "base-image",
  title: "Base image atoll/debian",
  async check({ home }) {
    const built = await readReference(imagesDir(home), RECIPE_REFERENCE);
    const glibc = await stat(glibcDir(home)).catch(() => undefined);
    if (built !== undefined && glibc !== undefined) return { needed: false, reason: `${built.digest} is there` };
    return { needed: true, reason: "no image of the present recipe is there" };
  },
  async run(context) {
    const work = join(context.home, "setup", "base-image");
    const root = join(work, "root");
    await mkdir(join(work, "debs"), { recursive: true, mode: 0o700 });
    await rm(root, { recursive: true, force: true });
    await bootstrap(root, join(work, "debs"), context);
    context.progress({ fraction: 0.9, detail: "removing what a sandbox does not need" });
    const release = await finishBaseTree(root, context);
    await prepareImageTree(root);
    await copyGlibc(root, context.home);
    context.progress({ fraction: 0.95, detail: "packing" });
    await install(root, join(work, "image.erofs"), [release.codename, release.version], context);
    await rm(work, { recursive: true });
  },
};

export function imagesDir(home: string): string {
  return join(home, "images");
}

async function bootstrap(root: string, debs: string, context: SetupContext): Promise<void> {
  const mirror = debianMirror(await readAptSources());
  const counts: DebootstrapCounts = { retrieved: 0, unpacked: 0, configured: 0 };
  const onOutput = (text: string): void => {
    counts.retrieved += text.match(/^I: Retrieving /gm)?.length ?? 0;
    counts.unpacked += text.match(/^I: (?:Unpacking|Extracting) /gm)?.length ?? 0;
    counts.configured += text.match(/^I: Configuring /gm)?.length ?? 0;
    const doing = text.match(/^I: (.*?)(?:\.\.\.)?$/m)?.[1];
    context.progress({
      fraction: 0.9 * debootstrapProgress(counts),
      ...(doing === undefined ? {} : { detail: doing.slice(0, 60) }),
    });
  };
  // Namespaces of its own: its mounts inside the tree and its processes vanish with it, however it ends.
  const isolated = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
  const debootstrap = [
    "debootstrap",
    "--variant=minbase",
    `--include=${BASE_PACKAGES.join(",")}`,
    `--cache-dir=${debs}`,
    "stable",
    root,
    mirror,
  ];
  await runStepTool([...isolated, "env", "LC_ALL=C.UTF-8", ...debootstrap], {
    ...context,
    onOutput,
    failure: "The base image cannot be built",
    retries: 2,
    beforeRetry: () => rm(root, { recursive: true, force: true }),
  });
}

async function install(
  root: string,
  file: string,
  tags: readonly string[],
  { home, signal }: SetupContext,
): Promise<void> {
  const dir = imagesDir(home);
  await mkdir(dir, { recursive: true });
  await rm(file, { force: true });
  await runStepTool(packErofsCommand(root, file), { signal, failure: "The base image cannot be packed" });
  const digest = await digestFile(file);
  await installImage(dir, file, { digest, config: BASE_CONFIG });
  for (const tag of ["latest", ...tags]) await installReference(dir, `${BASE_IMAGE}:${tag}`, { digest });
  await installReference(dir, RECIPE_REFERENCE, { digest });
}

async function readAptSources(): Promise<readonly AptSource[]> {
  const parts = "/etc/apt/sources.list.d";
  const names = (await readdir(parts).catch(() => [])).toSorted((a, b) => (a < b ? -1 : 1));
  const paths = [
    "/etc/apt/sources.list",
    ...names.filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(parts, name)),
  ];
  const texts = await Promise.all(paths.map((path) => readFile(path, "utf8").catch(() => "")));
  return texts.flatMap((text, index) =>
    parseAptSources(text, (paths[index] ?? "").endsWith(".sources") ? "sources" : "list"),
  );
}
