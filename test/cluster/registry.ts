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
