import { createHash } from "node:crypto";

/** Media types of what a tag stands for. */
const MANIFESTS = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];

/** Gives an image of a registry a second tag. */
export async function copyTag(registryUrl: string, repository: string, from: string, to: string): Promise<void> {
  const at = (tag: string): string => `${registryUrl}/v2/${repository}/manifests/${tag}`;
  const found = await fetch(at(from), { headers: { accept: MANIFESTS.join(", ") } });
  if (!found.ok) throw new Error(`${repository}:${from} is not in ${registryUrl}: ${found.status}`);
  const headers = { "content-type": found.headers.get("content-type") ?? "" };
  const put = await fetch(at(to), { method: "PUT", headers, body: await found.text() });
  if (!put.ok) throw new Error(`Cannot tag ${repository}:${to} in ${registryUrl}: ${put.status} ${await put.text()}`);
}

/** Puts an image into a registry that has all that another has, under another digest. */
export async function pushVariant(registryUrl: string, repository: string, from: string, to: string): Promise<void> {
  const base = `${registryUrl}/v2/${repository}`;
  const found = await fetch(`${base}/manifests/${from}`, { headers: { accept: MANIFESTS[0] ?? "" } });
  const manifest = (await found.json()) as { config: { digest: string; size: number } };
  const config = (await (await fetch(`${base}/blobs/${manifest.config.digest}`)).json()) as { author?: string };
  const bytes = JSON.stringify({ ...config, author: to });
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const begun = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
  const target = new URL(begun.headers.get("location") ?? "", base);
  target.searchParams.set("digest", digest);
  const blobType = { "content-type": "application/octet-stream" };
  const stored = await fetch(target, { method: "PUT", headers: blobType, body: bytes });
  const body = JSON.stringify({ ...manifest, config: { ...manifest.config, digest, size: bytes.length } });
  const headers = { "content-type": found.headers.get("content-type") ?? "" };
  const put = await fetch(`${base}/manifests/${to}`, { method: "PUT", headers, body });
  if (!put.ok) throw new Error(`Cannot put ${repository}:${to} into ${registryUrl}: ${stored.status}, ${put.status}`);
}
