import { createHash } from "node:crypto";
import { formatImageReference, type ImageReference } from "#runtime/backend/local/image-reference.ts";
import { classifyRegistryFailure, ImageError } from "#runtime/backend/local/image-error.ts";
import { parseManifest, type PlatformManifest } from "#runtime/backend/local/image-manifest.ts";
import { runTool, ToolError } from "#runtime/backend/local/node/image-tool.ts";

export interface RegistryConfig {
  /** OCI name of this machine's architecture, e.g. `amd64`. */
  readonly architecture: string;
  /** Credentials in Docker's `config.json` format. */
  readonly authFile: string;
  /** Trust policy of the registry tool; absent = unsigned images are accepted. */
  readonly policyFile?: string;
  /** Hosts reached without TLS or with a certificate nobody vouches for. */
  readonly insecureRegistries: readonly string[];
  /** Longest wait for the answer to a reference. */
  readonly resolveTimeoutMs: number;
  /** Environment of the tools: PATH, proxy variables. */
  readonly env: Readonly<Record<string, string>>;
}

/** One platform's image, named by digest. */
export interface ResolvedImage extends PlatformManifest {
  readonly digest: string;
  /** What the reference itself means in the registry: the index's digest where it names one. Clusters know an image by it. */
  readonly pulledDigest: string;
  readonly reference: ImageReference;
}

const MAX_MANIFEST_BYTES = 4_194_304;

/** Asks the registry what a reference means on this machine. */
export async function resolveImage(
  reference: ImageReference,
  config: RegistryConfig,
  signal: AbortSignal,
): Promise<ResolvedImage> {
  const first = await inspect(reference, config, signal);
  const parsed = parseManifest(first.json);
  if (parsed.kind !== "index") return resolved(reference, first, first.digest);
  const wanted = `linux/${config.architecture}`;
  const digest = parsed.platforms.find(({ platform }) => platform === wanted)?.digest;
  if (digest === undefined) throw unusable(reference, `it has no ${wanted} variant`);
  const chosen = { ...reference, digest };
  return resolved(chosen, await inspect(chosen, config, signal), first.digest);
}

/** Copies an image to the tag `image` of a new OCI layout; the tool verifies every blob's digest. */
export async function copyImage(
  image: ResolvedImage,
  layoutDir: string,
  config: RegistryConfig,
  signal: AbortSignal,
): Promise<void> {
  const tls = isInsecure(image.reference, config) ? ["--src-tls-verify=false"] : [];
  const args = [
    "copy",
    "--quiet",
    "--remove-signatures",
    `--src-authfile=${config.authFile}`,
    ...tls,
    address(image.reference),
    `oci:${layoutDir}:image`,
  ];
  await skopeo(image.reference, args, config, signal);
}

interface RawManifest {
  readonly digest: string;
  readonly json: unknown;
}

async function inspect(reference: ImageReference, config: RegistryConfig, signal: AbortSignal): Promise<RawManifest> {
  const tls = isInsecure(reference, config) ? ["--tls-verify=false"] : [];
  const args = ["inspect", "--raw", `--authfile=${config.authFile}`, ...tls, address(reference)];
  const deadline = AbortSignal.timeout(config.resolveTimeoutMs);
  const bytes = await skopeo(reference, args, config, AbortSignal.any([signal, deadline])).catch((error: unknown) => {
    if (signal.aborted || !deadline.aborted) throw error;
    throw new ImageError(
      "timeout",
      `Image ${formatImageReference(reference)} cannot be pulled: the registry did not answer within ${config.resolveTimeoutMs} ms.`,
      error,
    );
  });
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (reference.digest !== undefined && digest !== reference.digest) {
    throw new ImageError(
      "corrupt",
      `Image ${formatImageReference(reference)} cannot be pulled: the registry's manifest has the digest ${digest}.`,
    );
  }
  try {
    return { digest, json: JSON.parse(new TextDecoder().decode(bytes)) };
  } catch (error) {
    throw new ImageError(
      "unusable",
      `Image ${formatImageReference(reference)} cannot be used: its manifest is not JSON.`,
      error,
    );
  }
}

function resolved(reference: ImageReference, raw: RawManifest, pulledDigest: string): ResolvedImage {
  const parsed = parseManifest(raw.json);
  if (parsed.kind === "index") throw unusable(reference, "its index lists another index");
  if (parsed.kind === "unusable") throw unusable(reference, parsed.why);
  return { ...parsed.manifest, digest: raw.digest, pulledDigest, reference: { ...reference, digest: raw.digest } };
}

async function skopeo(
  reference: ImageReference,
  args: readonly string[],
  config: RegistryConfig,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const policy = config.policyFile === undefined ? ["--insecure-policy"] : [`--policy=${config.policyFile}`];
  try {
    return await runTool("skopeo", [...policy, ...args], {
      signal,
      env: config.env,
      maxStdoutBytes: MAX_MANIFEST_BYTES,
    });
  } catch (error) {
    if (error instanceof ToolError) throw classifyRegistryFailure(formatImageReference(reference), error.stderr, error);
    throw error;
  }
}

function address(reference: ImageReference): string {
  return `docker://${formatImageReference(reference)}`;
}

function isInsecure(reference: ImageReference, config: RegistryConfig): boolean {
  return config.insecureRegistries.includes(reference.registry);
}

function unusable(reference: ImageReference, why: string): ImageError {
  return new ImageError("unusable", `Image ${formatImageReference(reference)} cannot be used: ${why}.`);
}
