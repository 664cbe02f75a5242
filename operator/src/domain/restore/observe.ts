import type { SandboxResource, SandboxRootfsRestore } from "#api/crd/sandbox.ts";
import { imageDigestOf } from "#core/kubernetes/image-id.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { compareBase, otherBaseMessage, type RestoreImage } from "#core/snapshot/compare-base.ts";
import { quoted, type Fault } from "../sandbox/fault.ts";
import { restoreSources, type RestoreSource } from "./sources.ts";

/** What is known of the restores of a sandbox that starts. */
export interface RestoreFacts {
  /** Each container has been restored, onto the right image as far as that can be known. */
  readonly isComplete: boolean;
  readonly fault?: Fault;
  /** What the start waits for that is not there, in words that stay the same meanwhile: what is on its way is worth no write. */
  readonly waiting?: string;
  /** The same with how far it is, as the end of "it waited for …". */
  readonly waitsFor?: string;
}

/** Reads what the mounter of the pod's node says, and whether images are those of the snapshots. */
export function observeRestores({ spec, status }: SandboxResource, pod: Pod): RestoreFacts {
  const said = new Map((status?.rootfsRestores ?? []).map((restore) => [restore.containerName, restore]));
  const all = restoreSources(spec).map((source) => ({ source, restore: ofSource(said, source) }));
  for (const { source, restore } of all) {
    const fault = faultOf(source, restore, pod);
    if (fault !== undefined) return { isComplete: false, fault };
  }
  const open = all.find(({ restore }) => restore?.phase !== "Ready");
  if (open === undefined) return { isComplete: true };
  const name = `the snapshot "${open.source.snapshotName}"`;
  const waitsFor = `${name}, ${howFar(open.restore)}`;
  if (open.restore?.phase !== "Waiting") return { isComplete: false, waitsFor };
  return { isComplete: false, waitsFor, waiting: `The sandbox waits for ${name}.` };
}

function ofSource(said: ReadonlyMap<string, SandboxRootfsRestore>, { containerName, snapshotName }: RestoreSource) {
  const restore = said.get(containerName);
  return restore?.snapshotName === snapshotName ? restore : undefined;
}

function faultOf(source: RestoreSource, restore: SandboxRootfsRestore | undefined, pod: Pod): Fault | undefined {
  const { snapshotName, containerName, allowOtherBase } = source;
  if (restore?.phase === "Failed") {
    const message = `${quoted(restore.message, `The snapshot "${snapshotName}" cannot be restored`)}.`;
    return { reason: restore.reason ?? "RootfsRestoreConfigurationError", message };
  }
  const image = imageOf(pod, containerName);
  if (allowOtherBase || restore?.base === undefined || image === undefined) return undefined;
  if (compareBase(restore.base, image) !== "different") return undefined;
  const message = otherBaseMessage(snapshotName, restore.base, image);
  return { reason: "RootfsRestoreConfigurationError", message };
}

/** What the container runs; undefined as long as kubelet does not say it. */
function imageOf({ spec, status }: Pod, name: string): RestoreImage | undefined {
  const found = status?.containerStatuses?.find((container) => container.name === name);
  const digest = imageDigestOf(found?.imageID);
  const image = spec.containers.find((container) => container.name === name)?.image ?? found?.image;
  return digest === undefined || image === undefined ? undefined : { image, digest };
}

function howFar(restore: SandboxRootfsRestore | undefined): string {
  if (restore === undefined) return "of which its node has said nothing";
  if (restore.phase === "Waiting") {
    const why = quoted(restore.message, "");
    return why === "" ? "which never came" : `which never came: ${why}`;
  }
  const { bytesDone = 0, bytesTotal } = restore;
  return bytesTotal === undefined
    ? `of which ${bytesDone} bytes had come`
    : `of which ${bytesDone} of ${bytesTotal} bytes had come`;
}
