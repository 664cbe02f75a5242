import { classifyImageFailure } from "#core/image-fault.ts";
import type { ContainerStatus } from "#core/kubernetes/pod.ts";
import { quoted, type Fault } from "./fault.ts";

/** What holds up a container that has not started. */
export interface Hindrance {
  /** It will never start. */
  readonly fault?: Fault;
  /** It may start yet: one sentence that stays the same while the cause does. */
  readonly waiting?: string;
}

const IMAGE_REASONS = new Set(["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"]);
const START_REASONS = new Set(["CreateContainerError", "RunContainerError", "PostStartHookError"]);
const NO_COMMAND = /executable file not found|finding executable|not found in \$PATH/i;
/** Of a container whose start has failed for good, where the runtime names the command's file or what it is read with. */
const NO_FILE = /no such file or directory/i;

/** gVisor's word for the archive that a container starts from. */
const ARCHIVE = /rootfs[- ](upper[- ])?tar|failed to read tar header/i;

/** Reads a waiting container; `image` is what its status names, or nothing. */
export function hindranceOf(status: ContainerStatus & { readonly image?: unknown }): Hindrance {
  const { reason = "", message } = status.state?.waiting ?? {};
  const image =
    typeof status.image === "string" && status.image !== "" ? status.image : `of container "${status.name}"`;
  if (reason === "InvalidImageName") return gone(`The image name "${image}" is not valid.`);
  if (reason === "ErrImageNeverPull") return gone(`Image ${image} is not on the node, and its pull policy is Never.`);
  if (IMAGE_REASONS.has(reason)) return imageHindrance(image, message);
  if (START_REASONS.has(reason)) return startHindrance(status.name, message);
  if (reason !== "CreateContainerConfigError") return {};
  return { waiting: `Container "${status.name}" cannot be set up: ${quoted(message, "no cause is known")}.` };
}

/** Why a container could not be started, from what the runtime said. */
export function startFault(container: string, message: string | undefined): Fault {
  if (ARCHIVE.test(message ?? "")) {
    return { reason: "RootfsRestoreConfigurationError", message: startProblem(container, message) };
  }
  if (NO_COMMAND.test(message ?? "") || NO_FILE.test(message ?? "")) {
    const why = quoted(message, "the runtime named no cause");
    return { reason: "CommandNotFound", message: `The command of container "${container}" was not found: ${why}.` };
  }
  return { reason: "PodFailed", message: startProblem(container, message) };
}

/** Kubelet tries again: a file that the node misses while it sets the container up may yet come. */
function startHindrance(container: string, message: string | undefined): Hindrance {
  if (NO_COMMAND.test(message ?? "")) return { fault: startFault(container, message) };
  return { waiting: startProblem(container, message) };
}

function startProblem(container: string, message: string | undefined): string {
  return `Container "${container}" could not be started: ${quoted(message, "the runtime named no cause")}.`;
}

/**
 * Kubelet's first message names the cause, those of its back-off may not: then nothing new is known.
 * The image's name is the user's and must not be read as a cause.
 */
function imageHindrance(image: string, message: string | undefined): Hindrance {
  const failure = classifyImageFailure((message ?? "").replaceAll(image, ""));
  if (failure === undefined) return {};
  const sentence = `Image ${image} cannot be pulled: ${failure.sentence}.`;
  if (failure.fault === "not-found") return gone(sentence);
  if (failure.fault === "denied") return { fault: { reason: "ImagePullDenied", message: sentence } };
  return { waiting: sentence };
}

function gone(message: string): Hindrance {
  return { fault: { reason: "ImageNotFound", message } };
}
