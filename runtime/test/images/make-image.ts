import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import { pack, type Header } from "tar-stream";

/** One entry of a layer; a file has `content`. */
export interface LayerEntry extends Partial<Header> {
  readonly name: string;
  readonly content?: string | Uint8Array;
  readonly pax?: Record<string, string>;
}

export interface ImageRecipe {
  readonly layers: readonly (readonly LayerEntry[])[];
  /** The `config` member of the image config. */
  readonly config?: Record<string, unknown>;
  readonly architecture?: string;
  /** Added to each layer's descriptor. */
  readonly layerFields?: Record<string, unknown>;
}

export interface PushOptions {
  readonly authorization?: string;
}

const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";

/** Makes an image of one architecture and pushes it; answers its manifest's digest and size. */
export async function pushImage(
  host: string,
  repository: string,
  tag: string,
  recipe: ImageRecipe,
  options: PushOptions = {},
) {
  const layers = await Promise.all(recipe.layers.map(packLayer));
  const diffIds = layers.map((layer) => sha256(layer));
  const config = JSON.stringify({
    architecture: recipe.architecture ?? "amd64",
    os: "linux",
    config: recipe.config ?? {},
    rootfs: { type: "layers", diff_ids: diffIds },
    history: [],
  });
  const descriptors = [];
  for (const layer of layers) {
    const blob = gzipSync(layer);
    await pushBlob(host, repository, blob, options);
    const mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
    descriptors.push({ mediaType, digest: sha256(blob), size: blob.length, ...recipe.layerFields });
  }
  await pushBlob(host, repository, Buffer.from(config), options);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: sha256(config), size: config.length },
    layers: descriptors,
  });
  await pushManifest(host, repository, tag, { type: MANIFEST_TYPE, body: manifest }, options);
  return { digest: sha256(manifest), size: manifest.length, layerDigests: descriptors.map(({ digest }) => digest) };
}

/** Pushes an index over already pushed images. */
export async function pushIndex(
  host: string,
  repository: string,
  tag: string,
  members: readonly { digest: string; size: number; architecture: string }[],
) {
  const manifests = members.map(({ digest, size, architecture }) => ({
    mediaType: MANIFEST_TYPE,
    digest,
    size,
    platform: { os: "linux", architecture },
  }));
  const body = JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests });
  await pushManifest(host, repository, tag, { type: INDEX_TYPE, body }, {});
  return { digest: sha256(body) };
}

function packLayer(entries: readonly LayerEntry[]): Promise<Buffer> {
  const tar = pack();
  for (const { content, ...header } of entries) {
    const mode = header.mode ?? (header.type === "directory" ? 0o755 : 0o644);
    tar.entry({ ...header, mode, mtime: header.mtime ?? new Date(1_600_000_000_000) }, Buffer.from(content ?? ""));
  }
  tar.finalize();
  return buffer(tar);
}

async function pushBlob(
  host: string,
  repository: string,
  blob: Uint8Array,
  { authorization }: PushOptions,
): Promise<void> {
  const headers = authorization === undefined ? {} : { authorization };
  const started = await fetch(`http://${host}/v2/${repository}/blobs/uploads/`, { method: "POST", headers });
  const location = new URL(started.headers.get("location") ?? "", `http://${host}`);
  location.searchParams.set("digest", sha256(blob));
  const put = await fetch(location, {
    method: "PUT",
    body: blob as BodyInit,
    headers: { ...headers, "content-type": "application/octet-stream" },
  });
  if (put.status !== 201) throw new Error(`Blob push answers ${put.status}: ${await put.text()}`);
}

async function pushManifest(
  host: string,
  repository: string,
  tag: string,
  manifest: { type: string; body: string },
  { authorization }: PushOptions,
): Promise<void> {
  const headers = { "content-type": manifest.type, ...(authorization === undefined ? {} : { authorization }) };
  const put = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, {
    method: "PUT",
    body: manifest.body,
    headers,
  });
  if (put.status !== 201) throw new Error(`Manifest push answers ${put.status}: ${await put.text()}`);
}

function sha256(data: string | Uint8Array): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}
