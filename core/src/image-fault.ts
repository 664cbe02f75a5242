/** Why an image could not be made ready. */
export type ImageFault =
  | "not-found"
  | "denied"
  | "unreachable"
  | "tls"
  | "timeout"
  | "rate-limited"
  | "corrupt"
  | "unusable"
  | "disk-full"
  | "failed";

/** A fault that a registry tool's words tell. */
export interface ImageFailure {
  readonly fault: ImageFault;
  /** Goes after "cannot be pulled: ". */
  readonly sentence: string;
}

interface Sign extends ImageFailure {
  readonly pattern: RegExp;
}

// First match wins. Registries that hide private repositories answer "denied" for unknown ones too.
const SIGNS: readonly Sign[] = [
  { fault: "disk-full", pattern: /no space left on device|disk quota exceeded/, sentence: "the disk is full" },
  {
    fault: "rate-limited",
    pattern: /toomanyrequests|too many requests|statuscode: 429/,
    sentence: "the registry limits the rate of pulls",
  },
  {
    fault: "denied",
    pattern:
      /unauthorized|authentication required|authorization failed|access denied|denied:|access to the resource is denied|invalid username\/password|forbidden|statuscode: 40[13]/,
    sentence: "the registry denies access to it",
  },
  {
    // The engine's own store lacks a part that it had: another attempt may bring it.
    fault: "corrupt",
    pattern: /content digest \S+: not found|failed to get reader from content store/,
    sentence: "a part of what was pulled is missing on the node",
  },
  {
    fault: "not-found",
    pattern: /manifest unknown|name unknown|repository name not known|not known to registry|statuscode: 404|not found/,
    sentence: "the registry has no such image",
  },
  {
    fault: "corrupt",
    pattern: /digest did not match|does not match|digest mismatch|unexpected eof|invalid checksum|gzip: invalid/,
    sentence: "what the registry sent does not match its digest",
  },
  {
    fault: "unreachable",
    pattern: /no such host|server misbehaving/,
    sentence: "the registry's name cannot be resolved",
  },
  {
    fault: "tls",
    pattern: /x509:|tls:|certificate|http response to https client/,
    sentence: "no trusted TLS connection to the registry can be made",
  },
  {
    fault: "timeout",
    pattern: /i\/o timeout|deadline exceeded|timeout/,
    sentence: "the registry did not answer in time",
  },
  {
    fault: "unreachable",
    pattern: /connection refused|connection reset|network is unreachable|no route to host|broken pipe|\beof\b/,
    sentence: "the registry cannot be reached",
  },
];

/** Reads what a registry tool or a container engine wrote; undefined when it tells no cause that is known. */
export function classifyImageFailure(text: string): ImageFailure | undefined {
  const lowered = text.toLowerCase();
  const sign = SIGNS.find(({ pattern }) => pattern.test(lowered));
  return sign === undefined ? undefined : { fault: sign.fault, sentence: sign.sentence };
}
