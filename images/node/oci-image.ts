import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { blobOf, type Blob, type Layer } from "./layer.ts";

export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
const EPOCH = "1970-01-01T00:00:00Z";
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** How an image's program starts when nobody says otherwise. */
export interface ImageDefaults {
  readonly title: string;
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly cmd?: readonly string[];
  readonly port?: number;
}

export interface OciImage {
  readonly manifest: Blob;
  readonly config: Blob;
  readonly layers: readonly Layer[];
}

/** Puts layers and a program's process defaults together; it holds no time and no name of a machine. */
export function imageOf(program: ImageDefaults, version: string, layers: readonly Layer[]): OciImage {
  const config = json(CONFIG_TYPE, {
    created: EPOCH,
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: "linux",
    config: {
      User: program.user,
      ...(program.port === undefined ? {} : { ExposedPorts: { [`${program.port}/tcp`]: {} } }),
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      Entrypoint: program.entrypoint,
      ...(program.cmd === undefined ? {} : { Cmd: program.cmd }),
      WorkingDir: "/",
      Labels: {
        "org.opencontainers.image.title": program.title,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "Apache-2.0",
      },
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(() => ({ created: EPOCH })),
  });
  const manifest = json(MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: descriptorOf(config),
    layers: layers.map(descriptorOf),
  });
  return { manifest, config, layers };
}

/** Writes an image as a folder in OCI image layout, under a tag. */
export async function writeLayout(dir: string, image: OciImage, tag: string): Promise<void> {
  await mkdir(join(dir, "blobs/sha256"), { recursive: true });
  for (const { digest, bytes } of [image.manifest, image.config, ...image.layers]) {
    await writeFile(join(dir, "blobs", digest.replace(":", "/")), bytes);
  }
  await writeFile(join(dir, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  const entry = { ...descriptorOf(image.manifest), annotations: { "org.opencontainers.image.ref.name": tag } };
  await writeFile(join(dir, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
}

function json(mediaType: string, value: object): Blob {
  return blobOf(mediaType, new TextEncoder().encode(JSON.stringify(value)));
}

function descriptorOf({ mediaType, digest, bytes }: Blob): object {
  return { mediaType, digest, size: bytes.byteLength };
}
