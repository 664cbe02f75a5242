import { KubeConfig } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { rootfsSnapshotCrd } from "#api/crd/rootfs-snapshot-crd.ts";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { CRDS, NAMESPACES, ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import { createKubeFetch } from "#operator/node/kube-fetch.ts";
import { startControlPlane, type ControlPlane } from "../harness/control-plane.ts";
import { call } from "./cluster.ts";

const NAMESPACE = "snapshots";
const WAIT = { timeout: 30_000, interval: 50 };

let plane: ControlPlane;
let client: KubeClient;

beforeAll(async () => {
  plane = await startControlPlane();
  const config = new KubeConfig();
  config.loadFromFile(plane.kubeconfig);
  client = createKubeClient(createKubeFetch(config));
  await client.create(NAMESPACES, { metadata: { name: NAMESPACE } }, call());
  await client.create(CRDS, rootfsSnapshotCrd(), call());
  await vi.waitUntil(
    () =>
      client.list(ROOTFS_SNAPSHOTS, { namespace: NAMESPACE }, call()).then(
        () => true,
        () => false,
      ),
    WAIT,
  );
}, 120_000);
afterAll(() => plane.dispose());

/** Objects as users write them: the API server judges, not the compiler. */
function draft(name: string, spec: object): RootfsSnapshotResource {
  return { metadata: { name, namespace: NAMESPACE }, spec } as RootfsSnapshotResource;
}

const create = (name: string, spec: object) => client.create(ROOTFS_SNAPSHOTS, draft(name, spec), call());
const patch = (name: string, spec: object) =>
  client.patch(ROOTFS_SNAPSHOTS, { namespace: NAMESPACE, name }, { spec }, call());

async function refusal(action: Promise<KubeObject>): Promise<string> {
  const error = await action.then(
    () => "accepted",
    (thrown: unknown) => thrown,
  );
  return error instanceof KubeError ? `${error.status} ${error.message}` : String(error);
}

describe("RootfsSnapshot objects, as an API server takes them", () => {
  it("get the defaults of the contract", async () => {
    const { spec } = await create("bare", { sandboxName: "box" });
    expect(spec).toEqual({ sandboxName: "box", timeoutSeconds: 300, ttlSecondsAfterFinished: 300 });
  });

  it.each([
    ["no sandbox", "a", {}, "sandboxName"],
    ["a sandbox's name that is too long", "a", { sandboxName: "n".repeat(48) }, "sandboxName"],
    ["a bad snapshot name", "a", { sandboxName: "box", snapshotName: "../x" }, "snapshotName in body should match"],
    ["no time", "a", { sandboxName: "box", timeoutSeconds: 0 }, "timeoutSeconds"],
    ["a negative life", "a", { sandboxName: "box", ttlSecondsAfterFinished: -1 }, "ttlSecondsAfterFinished"],
    ["a name of 60 characters", "n".repeat(60), { sandboxName: "box" }, "at most 59 characters"],
  ])("are refused with %s", async (_, name, spec, message) => {
    expect(await refusal(create(name, spec))).toContain(message);
  });

  it("keep what they are of; names may be added once, and the time to live may change", async () => {
    await create("of", { sandboxName: "box" });
    expect(await refusal(patch("of", { sandboxName: "other" }))).toContain("sandboxName cannot be changed");
    expect(await refusal(patch("of", { timeoutSeconds: 5 }))).toContain("timeoutSeconds cannot be changed");
    for (const member of ["snapshotName", "containerName"]) {
      expect(await refusal(patch("of", { [member]: "first" }))).toBe("accepted");
      for (const value of ["second", null]) {
        expect(await refusal(patch("of", { [member]: value }))).toContain(`${member} cannot be changed or removed`);
      }
    }
    expect((await patch("of", { ttlSecondsAfterFinished: 0 })).spec.ttlSecondsAfterFinished).toBe(0);
  });

  it("keep a whole status", async () => {
    await create("told", { sandboxName: "box" });
    const at = "2026-01-02T03:04:05Z";
    const status = {
      conditions: [{ type: "Succeeded", status: "True", reason: "Succeeded", message: "", lastTransitionTime: at }],
      startTime: at,
      completionTime: at,
      containerID: "containerd://1",
      containerName: "main",
      snapshotKey: "rootfssnapshots/snapshots/box.json",
      writeId: "w1",
      bytes: 2 ** 40,
      base: { image: "debian", digest: `sha256:${"a".repeat(64)}` },
      progress: { phase: "Uploading", bytesDone: 1, bytesTotal: 2 },
      warnings: [{ code: "SocketsLeftOut", message: "Sockets are not kept.", count: 1, examples: ["./run/x"] }],
    };
    const ref = { namespace: NAMESPACE, name: "told" };
    const told = await client.patch(ROOTFS_SNAPSHOTS, ref, { status }, call(), { subresource: "status" });
    expect(told.status).toEqual(status);
  });
});
