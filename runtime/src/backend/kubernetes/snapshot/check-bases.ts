import type { ProblemFault } from "#api/problem.ts";
import type { SnapshotBase } from "#api/snapshot-manifest.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { SandboxSpec } from "#core/sandbox.ts";
import { compareBase, otherBaseMessage } from "#core/snapshot/compare-base.ts";

/**
 * Refuses a sandbox that could never start: one of its snapshots holds changes over an image whose
 * digest is another than that of the container, and both are known from their references. Whatever
 * is not known yet is found out on the node.
 */
export function checkBases({ containers }: SandboxSpec, baseOf: (name: string) => SnapshotBase | undefined): void {
  const errors = containers.flatMap((container, i): ProblemFault[] => {
    const { image, rootfsSnapshotName, rootfsSnapshotAllowOtherBase = false } = container;
    if (rootfsSnapshotName === undefined || rootfsSnapshotAllowOtherBase) return [];
    const base = baseOf(rootfsSnapshotName);
    if (base === undefined || compareBase(base, { image }) !== "different") return [];
    const message = otherBaseMessage(rootfsSnapshotName, base, { image });
    return [{ location: `body.podTemplate.containers[${i}].image`, message, value: image }];
  });
  const [first] = errors;
  if (first !== undefined) throw new ProblemError("validation-failed", first.message, { errors });
}
