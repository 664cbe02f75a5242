import type { SandboxPhase } from "#core/sandbox.ts";
import type { Boot } from "../machine.ts";
import type { SandboxRecord } from "../record.ts";
import { TakeFault, type SnapshotSource } from "./take-snapshot.ts";

/** The container of a sandbox that a snapshot is to be taken of, the first one when none is named; throws TakeFault. */
export function sourceOf(
  { id, spec, exits, restored, startedAtMs, ended }: SandboxRecord,
  now: { readonly boot: Boot | undefined; readonly phase: SandboxPhase },
  containerName = spec.containers[0]?.name ?? "",
): SnapshotSource {
  const { boot, phase } = now;
  // One that is being stopped has its containers still.
  if (boot === undefined || startedAtMs === undefined || ended !== undefined)
    throw new TakeFault("SandboxNotRunning", `The sandbox "${id}" is ${phase}, not Running.`);
  const container = spec.containers.find(({ name }) => name === containerName);
  if (container === undefined)
    throw new TakeFault("ContainerNotFound", `The sandbox "${id}" has no container "${containerName}".`);
  if (exits[containerName] !== undefined)
    throw new TakeFault(
      "ContainerEnded",
      `The container "${containerName}" has ended: there is nothing to take any more.`,
    );
  const ground = restored?.[containerName]?.ground ?? { kind: "layers" as const, layers: [] };
  return { boot, containerName, image: container.image, ground };
}
