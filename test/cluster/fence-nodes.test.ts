import { afterAll, beforeAll, describe, expect, it, test, vi } from "vitest";
import { INSTALLER_CLUSTER_RULES } from "#installer/manifest.ts";
import { createNodeReport } from "#installer/node-report.ts";
import { fences, nodeFenceName } from "#core/kubernetes/admission/fence.ts";
import { serviceAccountUser } from "#core/kubernetes/admission/fence-config.ts";
import { systemClock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { GVISOR_NODE_LABEL } from "#core/kubernetes/names.ts";
import { NODES } from "#core/kubernetes/resources.ts";
import { startControlPlane, type ControlPlane } from "../harness/control-plane.ts";
import { call } from "./cluster.ts";
import { ACCOUNT_NAMESPACE, accountOnNode, adminOf, post, putUp, told } from "./node-account.ts";

const ACCOUNT = "installer";
const TAINT = { key: "reserved", value: "yes", effect: "NoSchedule" };

let plane: ControlPlane;
let admin: KubeClient;
/** With the token that the kubelet of node "one" gives to its pod. */
let installer: KubeClient;

beforeAll(async () => {
  plane = await startControlPlane();
  admin = adminOf(plane);
  for (const name of ["one", "two"])
    await post(plane, "/api/v1/nodes", { metadata: { name, labels: { pool: "a" } }, spec: { taints: [TAINT] } });
  installer = await accountOnNode(plane, { name: ACCOUNT, node: "one", rules: INSTALLER_CLUSTER_RULES });
  const installerUser = serviceAccountUser(ACCOUNT_NAMESPACE, ACCOUNT);
  const capabilities = { container: [], marks: [], agent: [] };
  const all = fences({ sandboxNamespaces: ["s"], operatorUser: "o", runtimeClass: "g", capabilities, installerUser });
  await putUp(plane, all, ({ metadata }) => metadata.name === nodeFenceName());
  // A policy is in force some time after it was made.
  const isHeld = async (): Promise<boolean> => (await outcome("two", { labels: { probe: "x" } })) !== "allowed";
  await vi.waitUntil(isHeld, { timeout: 30_000, interval: 200 });
}, 120_000);
afterAll(() => plane.dispose());

/** What the API server says of a patch that changes nothing for good. */
async function outcome(name: string, metadata: object, spec: object = {}): Promise<string> {
  return told(installer.patch(NODES, { name }, { metadata, spec }, call(), { dryRun: true }));
}

describe("the installer's account", () => {
  it("says of its own node whether gVisor works there", async () => {
    const report = createNodeReport(installer, { nodeName: "one", clock: systemClock, newId: () => "1" });
    // Its events are forbidden here: this account has the right to patch nodes and no other.
    await report.works("release-1", call()).catch(() => undefined);
    const { metadata } = await admin.get(NODES, { name: "one" }, call());
    expect(metadata.labels).toMatchObject({ pool: "a", [GVISOR_NODE_LABEL]: "true" });
    await report.fails("no room", call()).catch(() => undefined);
    const after = await admin.get(NODES, { name: "one" }, call());
    expect(after.metadata.labels).toEqual({ pool: "a" });
    expect(after.metadata.annotations).toMatchObject({ "atoll.run/gvisor-fault": "no room" });
  });

  test.each<[string, string, object, object?]>([
    ["another node", "two", { labels: { [GVISOR_NODE_LABEL]: "true" } }],
    ["a label of others", "one", { labels: { pool: "b" } }],
    ["a new label", "one", { labels: { "node-role.kubernetes.io/control-plane": "" } }],
    ["the absence of a label", "one", { labels: { pool: null } }],
    [
      "an annotation of others",
      "one",
      { annotations: { "cluster-autoscaler.kubernetes.io/scale-down-disabled": "x" } },
    ],
    ["a taint", "one", {}, { taints: null }],
    ["a finalizer", "one", { finalizers: ["a.test/b"] }],
    ["an owner", "one", { ownerReferences: [{ apiVersion: "v1", kind: "Node", name: "two", uid: "1" }] }],
  ])("does not change %s", async (_, name, metadata, spec) => {
    expect(await outcome(name, metadata, spec)).toMatch(/the installer changes no/);
  });
});
