import type { Blob } from "./layer.ts";
import { MANIFEST_TYPE, type OciImage } from "./oci-image.ts";

export interface PushTarget {
  /** `http://localhost:5000` */
  readonly registryUrl: string;
  readonly repository: string;
  readonly tag: string;
}

/** Sends an image to a registry without credentials; what is there already is not sent again. */
export async function pushImage(image: OciImage, target: PushTarget, signal: AbortSignal): Promise<void> {
  const base = `${target.registryUrl}/v2/${target.repository}`;
  for (const blob of [...image.layers, image.config]) await pushBlob(base, blob, signal);
  const { bytes } = image.manifest;
  await expectStatus(
    [201],
    await fetch(`${base}/manifests/${target.tag}`, {
      method: "PUT",
      headers: { "content-type": MANIFEST_TYPE },
      body: bytes,
      signal,
    }),
  );
}

async function pushBlob(base: string, { digest, bytes }: Blob, signal: AbortSignal): Promise<void> {
  const there = await expectStatus([200, 404], await fetch(`${base}/blobs/${digest}`, { method: "HEAD", signal }));
  if (there.status === 200) return;
  const upload = await expectStatus([202], await fetch(`${base}/blobs/uploads/`, { method: "POST", signal }));
  const location = new URL(upload.headers.get("location") ?? "", base);
  location.searchParams.set("digest", digest);
  const headers = { "content-type": "application/octet-stream" };
  await expectStatus([201], await fetch(location, { method: "PUT", headers, body: bytes, signal }));
}

async function expectStatus(wanted: readonly number[], response: Response): Promise<Response> {
  const text = await response.text();
  if (wanted.includes(response.status)) return response;
  throw new Error(`The registry answered ${response.status} to ${response.url}: ${text.slice(0, 200)}`);
}
