import { mkdir, mkdtemp, readdir, readFile, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import type { ImageConfig } from "#runtime/backend/local/image.ts";
import { ImageError } from "#runtime/backend/local/image-error.ts";
import { parseProcessConfig } from "#runtime/backend/local/image-manifest.ts";
import { formatImageReference } from "#runtime/backend/local/image-reference.ts";
import { resolveImageUser } from "#runtime/backend/local/image-user.ts";
import { packErofsCommand } from "#runtime/backend/local/node/image-erofs.ts";
import { fillWithin, type TreeBound } from "#runtime/backend/local/node/image-bound.ts";
import { imagePaths, installImage, type ImageRecord } from "#runtime/backend/local/node/image-files.ts";
import type { PullProgress } from "#runtime/backend/local/image-store.ts";
import { copyImage, type RegistryConfig, type ResolvedImage } from "#runtime/backend/local/node/image-registry.ts";
import { inJail, runJailed } from "#runtime/backend/local/node/image-jail.ts";
import { ToolError } from "#runtime/backend/local/node/image-tool.ts";
import { prepareImageTree, readInRoot } from "#runtime/backend/local/node/image-tree.ts";

export interface PullConfig extends RegistryConfig {
  /** The image directory. */
  readonly dir: string;
  /** Largest image, compressed and as a file. */
  readonly maxImageBytes: number;
  /** Largest tree of an image before it is packed. */
  readonly maxUnpackedBytes: number;
  /** Largest archive of what EROFS cannot show of a snapshot. */
  readonly maxUpperBytes: number;
  /** A pull that leaves less free disk than this is given up. */
  readonly reserveBytes: number;
}

export interface PullCall {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly onProgress: (progress: PullProgress) => void;
}

interface Stage {
  phase: PullProgress["phase"];
}

const WATCH_INTERVAL_MS = 200;
const MAX_USER_DATABASE_BYTES = 1_048_576;
const MAX_CONFIG_BYTES = 4_194_304;

/** Downloads, unpacks and packs a resolved image; afterwards it lies whole in the image directory. */
export async function pullImage(image: ResolvedImage, config: PullConfig, call: PullCall): Promise<ImageRecord> {
  const name = formatImageReference(image.reference);
  if (image.layersBytes > config.maxImageBytes) throw tooLarge(name, config.maxImageBytes);
  const staging = await mkdtemp(join(imagePaths(config.dir).staging, "pull-"));
  const stage: Stage = { phase: "download" };
  const onProgress = (progress: PullProgress): void => {
    stage.phase = progress.phase;
    call.onProgress(progress);
  };
  const watch = watchPull(staging, image, stage, { ...call, config });
  try {
    return await buildImage(staging, image, config, { ...call, onProgress, signal: watch.signal });
  } catch (error) {
    throw translate(name, watch.fault() ?? error);
  } finally {
    await watch.stop();
    await rm(staging, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function buildImage(
  staging: string,
  image: ResolvedImage,
  config: PullConfig,
  call: PullCall,
): Promise<ImageRecord> {
  const workDir = join(staging, "work");
  const [layout, root, file] = [join(workDir, "layout"), join(workDir, "root"), join(workDir, "image.erofs")];
  const tool = { signal: call.signal, env: config.env };
  await mkdir(root, { recursive: true });
  call.onProgress({ phase: "download", doneBytes: 0, totalBytes: image.layersBytes });
  await copyImage(image, layout, config, call.signal);
  call.onProgress({ phase: "unpack" });
  const unpack = ["umoci", "raw", "unpack", "--image", `${inJail("layout")}:image`, inJail("root")];
  await fillWithin(treeBound(root, image, config), { ...tool, clock: call.clock }, (signal) =>
    runJailed(unpack, { workDir, jailDir: join(staging, "unpack-jail") }, { ...tool, signal }),
  );
  const imageConfig = await readConfig(layout, root, image);
  await rm(layout, { recursive: true });
  await prepareImageTree(root);
  call.onProgress({ phase: "pack" });
  const pack = packErofsCommand(inJail("root"), inJail("image.erofs"));
  await runJailed(pack, { workDir, jailDir: join(staging, "pack-jail") }, tool);
  if ((await stat(file)).size > config.maxImageBytes) {
    throw tooLarge(formatImageReference(image.reference), config.maxImageBytes);
  }
  call.signal.throwIfAborted();
  return installImage(config.dir, file, { digest: image.digest, config: imageConfig });
}

async function readConfig(layout: string, root: string, image: ResolvedImage): Promise<ImageConfig> {
  const name = formatImageReference(image.reference);
  const path = join(layout, "blobs", "sha256", image.configDigest.slice("sha256:".length));
  const sizeBytes = (await stat(path)).size;
  const text = sizeBytes > MAX_CONFIG_BYTES ? "" : await readFile(path, "utf8");
  const parsed = parseProcessConfig(parseJson(text));
  if (parsed === undefined) throw new ImageError("unusable", `Image ${name} cannot be used: its config is malformed.`);
  const database = {
    passwd: (await readInRoot(root, "/etc/passwd", MAX_USER_DATABASE_BYTES)) ?? "",
    group: (await readInRoot(root, "/etc/group", MAX_USER_DATABASE_BYTES)) ?? "",
  };
  const user = resolveImageUser(parsed.user, database);
  if (user === undefined) {
    throw new ImageError(
      "unusable",
      `Image ${name} cannot be used: it runs as ${JSON.stringify(parsed.user)}, which its own user database does not have.`,
    );
  }
  return { entrypoint: parsed.entrypoint, cmd: parsed.cmd, env: parsed.env, workingDir: parsed.workingDir, user };
}

interface PullWatch {
  readonly signal: AbortSignal;
  fault(): unknown;
  stop(): Promise<void>;
}

/** Aborts a pull before it fills the disk, and reports downloaded bytes. */
function watchPull(
  staging: string,
  image: ResolvedImage,
  stage: Stage,
  call: PullCall & { readonly config: PullConfig },
): PullWatch {
  const stopped = new AbortController();
  const full = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const { bavail, bsize } = await statfs(staging);
      if (bavail * bsize < call.config.reserveBytes) {
        full.abort(
          new ImageError(
            "disk-full",
            `Image ${formatImageReference(image.reference)} cannot be pulled: the disk is full.`,
          ),
        );
        return;
      }
      const doneBytes = await downloadedBytes(join(staging, "work", "layout"));
      if (doneBytes > 0 && stage.phase === "download")
        call.onProgress({
          phase: "download",
          doneBytes: Math.min(doneBytes, image.layersBytes),
          totalBytes: image.layersBytes,
        });
      await call.clock.sleep(WATCH_INTERVAL_MS, stopped.signal);
    }
  };
  const running = run().catch((error: unknown) => {
    if (!stopped.signal.aborted) full.abort(error);
  });
  return {
    signal: AbortSignal.any([call.signal, full.signal]),
    fault: () => (full.signal.aborted ? full.signal.reason : undefined),
    stop: async () => {
      stopped.abort();
      await running;
    },
  };
}

async function downloadedBytes(layout: string): Promise<number> {
  const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? 0;
  let bytes = 0;
  for (const dir of [layout, join(layout, "blobs", "sha256")]) {
    for (const entry of await readdir(dir, { withFileTypes: true }).catch(() => [])) {
      if (entry.isFile()) bytes += await sizeOf(join(dir, entry.name));
    }
  }
  return bytes;
}

function translate(name: string, error: unknown): unknown {
  if (error instanceof ToolError) {
    if (/no space left on device/i.test(error.stderr))
      return new ImageError("disk-full", `Image ${name} cannot be pulled: the disk is full.`, error);
    return new ImageError(
      "unusable",
      `Image ${name} cannot be used: its layers cannot be turned into a file system.`,
      error,
    );
  }
  if ((error as NodeJS.ErrnoException | undefined)?.code === "ENOSPC") {
    return new ImageError("disk-full", `Image ${name} cannot be pulled: the disk is full.`, error);
  }
  return error;
}

function tooLarge(name: string, maxImageBytes: number): ImageError {
  return new ImageError("unusable", `Image ${name} cannot be used: it is larger than ${maxImageBytes} bytes.`);
}

function treeBound(root: string, { reference }: ResolvedImage, { maxUnpackedBytes: maxBytes }: PullConfig): TreeBound {
  const words = `Image ${formatImageReference(reference)} cannot be used: it unpacks to more than ${maxBytes} bytes.`;
  return { root, maxBytes, refusal: () => new ImageError("unusable", words) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
