import { classifyImageFailure, type ImageFault } from "#core/image-fault.ts";
import { StartError } from "#runtime/backend/local/machine.ts";

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

/** What the shell says when the tool is missing: its words are like those for a missing image. */
const NO_TOOL = /failed to execute/i;

/** Turns what a registry tool wrote to standard error into a fault; the text itself stays in the cause. */
export function classifyRegistryFailure(reference: string, stderr: string, cause: unknown): ImageError {
  const failure = NO_TOOL.test(stderr)
    ? { fault: "failed" as const, sentence: "skopeo is not installed on this machine" }
    : (classifyImageFailure(stderr) ?? { fault: "failed" as const, sentence: "the registry tool failed" });
  return new ImageError(failure.fault, `Image ${reference} cannot be pulled: ${failure.sentence}.`, cause);
}
