import type { Pod } from "#core/kubernetes/pod.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { Sandbox } from "#core/sandbox.ts";

const MAX_CHARACTERS = 1000;

/** Tells who asks for an agent that its sandbox has ended, and why. */
export function endedProblem({ id, phase, reason, message = `it is ${phase}` }: Sandbox): ProblemError {
  return new ProblemError("sandbox-ended", `The sandbox "${id}" has ended (${reason}): ${message}`);
}

/** The same while only the pod shows the end: the operator has not said yet what it means. */
export function podEndedProblem(id: string, { status = {} }: Pick<Pod, "status">): ProblemError {
  const disruption = status.conditions?.find(({ type, status }) => type === "DisruptionTarget" && status === "True");
  const words = [status.message, disruption?.message, status.reason, "its pod is gone"].map(oneLine).find(Boolean);
  return new ProblemError("sandbox-ended", `The sandbox "${id}" has ended: ${words}`);
}

function oneLine(text = ""): string {
  return text
    .replaceAll(/[\p{Cc}\s]+/gu, " ")
    .trim()
    .slice(0, MAX_CHARACTERS);
}
