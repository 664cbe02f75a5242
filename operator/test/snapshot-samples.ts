import type { RootfsSnapshotResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import type { ObjectMeta } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { running, runningStatus, samplePod } from "./samples.ts";

export const CONTAINER_ID = `containerd://${"0f".repeat(32)}`;
export const IMAGE_DIGEST = `sha256:${"ab".repeat(32)}`;

/** A record of the sandbox that `sampleSandbox` makes, created one second after it. */
export function sampleRecord(
  spec: Partial<RootfsSnapshotResource["spec"]> = {},
  rest: { readonly metadata?: Partial<ObjectMeta>; readonly status?: RootfsSnapshotStatusResource } = {},
): RootfsSnapshotResource {
  return {
    metadata: {
      name: "r",
      namespace: "ns",
      uid: "uid-r",
      resourceVersion: "7",
      creationTimestamp: "2026-01-01T00:00:10Z",
      ...rest.metadata,
    },
    spec: { sandboxName: "a", timeoutSeconds: 60, ttlSecondsAfterFinished: 300, ...spec },
    ...(rest.status === undefined ? {} : { status: rest.status }),
  };
}

/** A pod whose main container can be saved, as the operator's cache keeps it. */
export function savablePod(metadata: Partial<ObjectMeta> = {}): Pod {
  const main = { ...running("main"), containerID: CONTAINER_ID, imageID: `docker.io/img@${IMAGE_DIGEST}` };
  return {
    ...samplePod(runningStatus(main), metadata),
    spec: {
      nodeName: "node-1",
      runtimeClassName: "gvisor",
      containers: [{ name: "sandbox-sidecar" }, { name: "main", image: "img:1" }],
    },
  };
}

export const ASSIGNED: RootfsSnapshotStatusResource = {
  startTime: "2026-01-01T00:00:11Z",
  nodeName: "node-1",
  podUid: "uid-pod",
  containerName: "main",
  containerID: CONTAINER_ID,
  base: { image: "img:1", digest: IMAGE_DIGEST },
};
