import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { ImageError } from "#runtime/backend/local/image-error.ts";
import type { LayerFile } from "#runtime/backend/local/image-store.ts";
import type { Image, LayeredOrigin } from "#runtime/backend/local/image.ts";
import { imagePaths, installImage, syncPath, type ImageRecord } from "#runtime/backend/local/node/image-files.ts";
import { runTool } from "#runtime/backend/local/node/image-tool.ts";
import { orAborted } from "#runtime/or-aborted.ts";
import type { BuildOrder } from "./build-root.ts";

export interface RootSource {
  readonly digest: string;
  readonly base: Image;
  readonly origin: LayeredOrigin;
  /** The layers' archives on this machine, in the order of their digests. */
  readonly files: readonly Pick<LayerFile, "path" | "coming">[];
}

export interface RootLimits {
  /** The image directory. */
  readonly dir: string;
  readonly maxImageBytes: number;
  readonly maxUnpackedBytes: number;
  readonly maxUpperBytes: number;
  readonly reserveBytes: number;
  readonly env: Readonly<Record<string, string>>;
}

/** Raised when the same layers would give another root. */
const FORM = "atoll-root-1";
const MAX_ENTRIES = 2 ** 20;
const MAX_NAME_BYTES = 256 * 2 ** 20;
/** What the program needs for each name, beside the name's own bytes. */
const ENTRY_MEMORY_BYTES = 1536;
/** It takes a small part of the machine's memory at most, for the names as for their bytes. */
const MEMORY_PART = 8;
const LEAST_FILE_BYTES = 4096;
const WRITE_BEHIND_MS = 250;

const Answer = z.union([
  z.object({ upperBytes: z.int().min(0) }),
  z.object({ fault: z.enum(["corrupt", "unusable", "disk-full"]), message: z.string() }),
]);

/** A root's name: equal for equal image and layers. */
export function digestOfRoot({ base, tarDigests }: LayeredOrigin): string {
  return `sha256:${createHash("sha256")
    .update([FORM, base, ...tarDigests].join("\n"))
    .digest("hex")}`;
}

/** Makes the root of an image and layers; afterwards it lies whole in the image directory. */
export async function makeLayeredRoot(
  source: RootSource,
  limits: RootLimits,
  signal: AbortSignal,
): Promise<ImageRecord> {
  const staging = await mkdtemp(join(imagePaths(limits.dir).staging, "root-"));
  try {
    const order = orderOf(source, limits, staging);
    const orderFile = join(staging, "order.json");
    await writeFile(orderFile, JSON.stringify(order));
    const made = runTool(process.execPath, [...runtimeArguments(), PROGRAM, orderFile], {
      signal,
      cwd: staging,
      env: limits.env,
    });
    const [stdout] = await Promise.all([made, writeBehind(order.erofs, made)]);
    const answer = Answer.parse(JSON.parse(new TextDecoder().decode(stdout)));
    if ("fault" in answer) throw new ImageError(answer.fault, `The snapshot cannot be restored: ${answer.message}.`);
    // What comes by a pipe was summed up by whoever wrote it.
    for (const { coming } of source.files) if (coming?.isPipe === true) await orAborted(coming.whole, signal);
    signal.throwIfAborted();
    return await installImage(limits.dir, order.erofs, {
      digest: source.digest,
      config: source.base.config,
      layered: source.origin,
      ...(answer.upperBytes === 0 ? {} : { upperTar: order.upperTar }),
    });
  } finally {
    await rm(staging, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Has the disk write the root while it grows: what is left of it at the end is waited for. */
async function writeBehind(path: string, made: Promise<unknown>): Promise<void> {
  let isMade = false;
  let fault: { readonly error: unknown } | undefined;
  const over = made.then(
    () => void (isMade = true),
    () => void (isMade = true),
  );
  while (!isMade) {
    const pause = new AbortController();
    await Promise.race([over, sleep(WRITE_BEHIND_MS, undefined, { signal: pause.signal }).catch(() => undefined)]);
    pause.abort();
    if (isMade) break;
    // The kernel tells of a fault of the disk once: who heard of it has to say so.
    await syncPath(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") fault = { error };
    });
  }
  if (fault !== undefined) throw fault.error;
}

function orderOf({ base, origin, files }: RootSource, limits: RootLimits, staging: string): BuildOrder {
  const memoryBytes = Math.floor(totalmem() / MEMORY_PART);
  const diskEntries = Math.floor(limits.maxUnpackedBytes / LEAST_FILE_BYTES);
  return {
    base: base.erofsPath,
    layers: files.map((file, index) => layerOf(file, origin.tarDigests[index] ?? "")),
    erofs: join(staging, "root.erofs"),
    upperTar: join(staging, "upper.tar"),
    limits: {
      maxEntries: Math.min(MAX_ENTRIES, diskEntries, Math.floor(memoryBytes / ENTRY_MEMORY_BYTES)),
      maxNameBytes: Math.min(MAX_NAME_BYTES, memoryBytes),
      maxBytes: Math.min(limits.maxUnpackedBytes, limits.maxImageBytes),
      maxUpperBytes: limits.maxUpperBytes,
      reserveBytes: limits.reserveBytes,
    },
  };
}

function layerOf({ path, coming }: RootSource["files"][number], tarDigest: string): BuildOrder["layers"][number] {
  if (coming?.isPipe === true) return { path };
  return { path, tarDigest, ...(coming && { growsTo: coming.bytes }) };
}

const PROGRAM = fileURLToPath(new URL("./make-root.ts", import.meta.url));

/** The program runs on what this process runs on; Deno wants its rights named. */
function runtimeArguments(): readonly string[] {
  return basename(process.execPath).startsWith("deno")
    ? ["run", "--no-prompt", "--allow-read", "--allow-write", "--allow-sys=statfs"]
    : [];
}
