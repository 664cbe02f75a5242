import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, it, vi } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { podName } from "#core/kubernetes/names.ts";
import { CRDS, NAMESPACES, PODS, RUNTIME_CLASSES, SANDBOXES } from "#core/kubernetes/resources.ts";
import { OPERATOR_PORTS } from "#operator/manifest.ts";
import { GATEWAY_PORTS } from "#runtime/manifest.ts";
import { REGISTRY, REGISTRY_FROM_HOST } from "#testbed/layout.ts";
import { DEBIAN_IMAGE } from "#testbed/images.ts";
import { call, findCluster, type Cluster } from "./cluster.ts";
import { exists } from "./exists.ts";
import { install, type Installation } from "./install.ts";
import { copyTag } from "./registry.ts";

/** Names of this run: it stands beside other installations in the cluster. */
const RUN = `install-${randomBytes(4).toString("hex")}`;
const SYSTEM = `test-${RUN}-system`;
const SANDBOXES_IN = `test-${RUN}-sandboxes`;
/** Where the images of the programs lie: the tag, and the registry as this machine reaches it. */
const TAG = inject("imageTag");
const PUSH_ADDRESS = process.env["KUBECONFIG"] === undefined ? REGISTRY_FROM_HOST : REGISTRY;

const SETTINGS = {
  imageRegistry: REGISTRY,
  imageTag: TAG,
  apiKeys: ["an-api-key-of-the-tests"],
  systemNamespace: { name: SYSTEM },
  sandboxNamespaces: [{ name: SANDBOXES_IN }],
  runtimeClass: { name: RUN, nodeSelector: { "kubernetes.io/os": "linux" } },
  admissionPolicies: { prefix: RUN },
  installer: { enabled: false },
  operator: { name: `${RUN}-operator`, sandboxes: { runtimeClassName: RUN } },
  gateway: { name: `${RUN}-gateway` },
};
const NEXT_TAG = `${TAG}-${RUN}`;
const NEXT_SETTINGS = {
  ...SETTINGS,
  imageTag: NEXT_TAG,
  apiKeys: ["another-api-key-of-the-tests"],
  operator: { ...SETTINGS.operator, replicas: 2, logging: { level: "debug" } },
};

let cluster: Cluster;
let client: KubeClient;
let installation: Installation | undefined;
let sandboxPod = "";

beforeAll(async () => {
  cluster = await findCluster();
  client = cluster.client();
  const programs = ["atoll-operator", "atoll-gateway", "atoll-sidecar"];
  await Promise.all(programs.map((repository) => copyTag(`http://${PUSH_ADDRESS}`, repository, TAG, NEXT_TAG)));
}, 60_000);
afterAll(() => installation?.uninstall(), 300_000);

describe("an installation", () => {
  it("becomes ready", { timeout: 300_000 }, async () => {
    installation = await install(SETTINGS, {
      client,
      signal: AbortSignal.timeout(240_000),
      secretKeys: ["apiKeys"],
    });
    expect(installation.resources().length).toBeGreaterThan(40);
  });

  it(
    "shows no change when the program runs again, and none when the cluster is read",
    { timeout: 60_000 },
    async () => {
      expect(await installation?.update(SETTINGS)).toEqual({ created: [], updated: [], removed: [] });
      expect(await installation?.refresh()).toEqual([]);
    },
  );

  it.each([
    ["operator", OPERATOR_PORTS.metrics, "isola_sandbox_created_total"],
    ["gateway", GATEWAY_PORTS.metrics, "isola_apigateway_http_requests_total"],
  ])("serves the metrics of its %s by their Service", { timeout: 60_000 }, async (program, port, name) => {
    const service = `/api/v1/namespaces/${SYSTEM}/services/${RUN}-${program}-metrics:${port}/proxy/metrics`;
    const scrape = async (): Promise<string> => (await cluster.run("kubectl", ["get", "--raw", service])).stdout;
    // Kubelet's probes are requests too.
    await vi.waitFor(async () => expect(await scrape()).toContain(`\n${name}`), { timeout: 50_000, interval: 500 });
  });

  it("runs a sandbox", { timeout: 120_000 }, async () => {
    await client.create(SANDBOXES, sandbox("kept"), call());
    await vi.waitUntil(() => isReady("kept"), { timeout: 90_000, interval: 250 });
    sandboxPod = await podUid("kept");
    expect(sandboxPod).not.toBe("");
  });

  it("leaves a sandbox alone when configuration and image tag change", { timeout: 300_000 }, async () => {
    const changes = await installation?.update(NEXT_SETTINGS);
    expect(changes).toMatchObject({ created: [], removed: [] });
    expect(changes?.updated.map((change) => change.split(":")[0]).toSorted()).toEqual(
      ["atoll-api-keys", `${RUN}-gateway`, `${RUN}-operator`].toSorted(),
    );
    expect(await podUid("kept")).toBe(sandboxPod);
    expect(await isReady("kept")).toBe(true);
    expect(await installation?.refresh()).toEqual([]);
  });

  it("goes with all its objects while sandboxes run", { timeout: 300_000 }, async () => {
    await client.create(SANDBOXES, sandbox("late"), call());
    await vi.waitUntil(() => isReady("late"), { timeout: 90_000, interval: 250 });
    await installation?.uninstall();
    installation = undefined;
    const left = await Promise.all([
      exists(client.get(NAMESPACES, { name: SYSTEM }, call())),
      exists(client.get(NAMESPACES, { name: SANDBOXES_IN }, call())),
      exists(client.get(RUNTIME_CLASSES, { name: RUN }, call())),
    ]);
    expect(left).toEqual([false, false, false]);
    // Kept, as the settings do not say otherwise.
    expect(await exists(client.get(CRDS, { name: "sandboxes.sandbox.isola.run" }, call()))).toBe(true);
  });
});

function sandbox(name: string): SandboxResource {
  const podTemplate = { spec: { containers: [{ name: "sandbox0", image: DEBIAN_IMAGE }] } };
  return { metadata: { namespace: SANDBOXES_IN, name }, spec: { podTemplate } } as unknown as SandboxResource;
}

async function isReady(name: string): Promise<boolean> {
  const { status } = await client.get(SANDBOXES, { namespace: SANDBOXES_IN, name }, call());
  return status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false;
}

async function podUid(name: string): Promise<string> {
  const { metadata } = await client.get(PODS, { namespace: SANDBOXES_IN, name: podName(name) }, call());
  return metadata.uid ?? "";
}
