import { StartError } from "#runtime/backend/local/machine.ts";

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

/** Failure to make an image ready; its message is one sentence for the sandbox's owner. */
export class ImageError extends StartError {
  readonly fault: ImageFault;

  constructor(fault: ImageFault, message: string, cause?: unknown) {
    super(reasonOf(fault), message, cause === undefined ? undefined : { cause });
    this.name = "ImageError";
    this.fault = fault;
  }
}

function reasonOf(fault: ImageFault): "ImageNotFound" | "ImagePullDenied" | "ImagePullFailed" {
  if (fault === "not-found") return "ImageNotFound";
  return fault === "denied" ? "ImagePullDenied" : "ImagePullFailed";
}

interface Sign {
  readonly fault: ImageFault;
  readonly pattern: RegExp;
  readonly sentence: string;
}

// First match wins. Registries that hide private repositories answer "denied" for unknown ones too.
const SIGNS: readonly Sign[] = [
  { fault: "failed", pattern: /failed to execute/, sentence: "skopeo is not installed on this machine" },
  { fault: "disk-full", pattern: /no space left on device|disk quota exceeded/, sentence: "the disk is full" },
  {
    fault: "rate-limited",
    pattern: /toomanyrequests|too many requests|statuscode: 429/,
    sentence: "the registry limits the rate of pulls",
  },
  {
    fault: "denied",
    pattern:
      /unauthorized|authentication required|access denied|denied:|access to the resource is denied|invalid username\/password|forbidden|statuscode: 40[13]/,
    sentence: "the registry denies access to it",
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

/** Turns what a registry tool wrote to standard error into a fault; the text itself stays in the cause. */
export function classifyRegistryFailure(reference: string, stderr: string, cause: unknown): ImageError {
  const text = stderr.toLowerCase();
  const sign = SIGNS.find(({ pattern }) => pattern.test(text));
  if (sign === undefined)
    return new ImageError("failed", `Image ${reference} cannot be pulled: the registry tool failed.`, cause);
  return new ImageError(sign.fault, `Image ${reference} cannot be pulled: ${sign.sentence}.`, cause);
}
