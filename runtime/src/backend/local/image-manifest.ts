import * as z from "zod";

const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const Size = z.int().min(0);
const strings = z.array(z.string().max(65_536)).max(4096).nullish();

const Index = z.object({
  manifests: z
    .array(
      z.object({
        digest: Digest,
        size: Size,
        platform: z.object({ os: z.string(), architecture: z.string(), variant: z.string().optional() }).optional(),
      }),
    )
    .max(1000),
});

const Manifest = z.object({
  config: z.object({ digest: Digest, size: Size }),
  layers: z.array(z.object({ digest: Digest, size: Size, urls: z.array(z.string()).nullish() })).max(1000),
});

const Config = z.object({
  config: z
    .object({
      User: z.string().max(256).nullish(),
      Env: strings,
      Entrypoint: strings,
      Cmd: strings,
      WorkingDir: z.string().max(4096).nullish(),
    })
    .nullish(),
});

/** One platform's image: what to fetch and how much it is. */
export interface PlatformManifest {
  readonly configDigest: string;
  /** Compressed, without the config. */
  readonly layersBytes: number;
}

export type ParsedManifest =
  | { readonly kind: "index"; readonly platforms: readonly { readonly platform: string; readonly digest: string }[] }
  | { readonly kind: "manifest"; readonly manifest: PlatformManifest }
  | { readonly kind: "unusable"; readonly why: string };

/** The process part of an image's config, before its user is resolved. */
export interface ProcessConfig {
  readonly user: string;
  readonly env: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
}

/** Reads a registry's answer (OCI or Docker schema 2, index or manifest) strictly. */
export function parseManifest(json: unknown): ParsedManifest {
  if (typeof json !== "object" || json === null) return { kind: "unusable", why: "its manifest is not a JSON object" };
  if ("schemaVersion" in json && json.schemaVersion === 1) {
    return { kind: "unusable", why: "its manifest has the retired Docker schema 1" };
  }
  if ("manifests" in json) return parseIndex(json);
  const parsed = Manifest.safeParse(json);
  if (!parsed.success) return { kind: "unusable", why: "its manifest is malformed" };
  const { config, layers } = parsed.data;
  // A layer with addresses of its own would let the image choose what this machine connects to.
  if (layers.some((layer) => (layer.urls ?? []).length > 0)) {
    return { kind: "unusable", why: "a layer of it lies outside its registry" };
  }
  const layersBytes = layers.reduce((sum, layer) => sum + layer.size, 0);
  return { kind: "manifest", manifest: { configDigest: config.digest, layersBytes } };
}

/** Reads the image config's process part strictly; undefined when it is malformed. */
export function parseProcessConfig(json: unknown): ProcessConfig | undefined {
  const parsed = Config.safeParse(json);
  if (!parsed.success) return undefined;
  const config = parsed.data.config ?? {};
  const workingDir = config.WorkingDir ?? "";
  return {
    user: config.User ?? "",
    env: Object.fromEntries((config.Env ?? []).flatMap(parseVariable)),
    entrypoint: config.Entrypoint ?? [],
    cmd: config.Cmd ?? [],
    workingDir: workingDir.startsWith("/") ? workingDir : `/${workingDir}`,
  };
}

function parseIndex(json: object): ParsedManifest {
  const parsed = Index.safeParse(json);
  if (!parsed.success) return { kind: "unusable", why: "its index is malformed" };
  const platforms = parsed.data.manifests.flatMap(({ platform, digest }) =>
    platform === undefined ? [] : [{ platform: `${platform.os}/${platform.architecture}`, digest }],
  );
  return { kind: "index", platforms };
}

function parseVariable(entry: string): [string, string][] {
  const equals = entry.indexOf("=");
  return equals > 0 && !entry.includes("\0") ? [[entry.slice(0, equals), entry.slice(equals + 1)]] : [];
}
