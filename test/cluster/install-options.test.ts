import { randomBytes } from "node:crypto";
import { afterAll, expect, inject, it } from "vitest";
import { REGISTRY } from "#testbed/layout.ts";
import { findCluster } from "./cluster.ts";
import { install, type Installation } from "./install.ts";

const RUN = `options-${randomBytes(4).toString("hex")}`;

/** Every kind of object and every field that a setting can bring, written as people write it. */
const SETTINGS = {
  imageRegistry: REGISTRY,
  imageTag: inject("imageTag"),
  apiKeys: ["an-api-key-of-the-tests"],
  imagePullSecrets: ["pull"],
  systemNamespace: { name: `test-${RUN}-system`, labels: { a: "b" }, annotations: { c: "d" } },
  sandboxNamespaces: [{ name: `test-${RUN}-one` }, { name: `test-${RUN}-two` }],
  runtimeClass: { name: RUN, nodeSelector: { "kubernetes.io/os": "linux" } },
  admissionPolicies: { prefix: RUN },
  priorityClass: { create: true, name: RUN, value: 5, preemptionPolicy: "Never" },
  // No node has this label: the DaemonSet is there, and touches none.
  installer: { name: `${RUN}-installer`, nodeSelector: { [RUN]: "none" }, resources: { limits: { cpu: "1000m" } } },
  snapshotCredentials: { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "secret" },
  snapshots: {
    enabled: true,
    store: { url: "s3://bucket/prefix?region=eu-west-1" },
    restorePort: 10_034,
    restoreFolder: "/var/lib/atoll-options/restores",
    // As with the installer.
    mounter: {
      name: `${RUN}-mounter`,
      folder: "/var/lib/atoll-options/mounter",
      cacheSize: "2048Mi",
      identityToken: { audience: "store" },
      environment: { AWS_REGION: "eu-west-1" },
      seLinuxType: "spc_t",
      nodeSelector: { [RUN]: "none" },
    },
  },
  operator: {
    name: `${RUN}-operator`,
    replicas: 2,
    podDisruptionBudget: { enabled: true },
    resources: { limits: { cpu: "1.5", memory: "0.5Gi" } },
    tolerations: [{ key: "a", operator: "Exists" }],
    affinity: {
      nodeAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 1, preference: { matchExpressions: [{ key: "x", operator: "Exists" }] } },
        ],
      },
    },
    podAnnotations: { x: true },
    sandboxes: { runtimeClassName: RUN, priorityClassName: RUN },
  },
  gateway: {
    name: `${RUN}-gateway`,
    autoscaling: { enabled: true },
    podDisruptionBudget: { enabled: true },
    service: { type: "NodePort", annotations: { a: true } },
    ingress: { enabled: true, className: "none", hosts: ["atoll.test"], tlsSecret: "certificate" },
  },
};

let installation: Installation | undefined;
afterAll(() => installation?.uninstall(), 300_000);

it("an installation with every option shows no change afterwards", { timeout: 300_000 }, async () => {
  const { client } = await findCluster();
  const options = {
    client: client(),
    signal: AbortSignal.timeout(240_000),
    secretKeys: ["apiKeys", "snapshotCredentials"],
  };
  installation = await install(SETTINGS, options);
  const kinds = new Set(installation.resources().map(({ inputs }) => inputs["kind"]));
  expect([...kinds]).toEqual(
    expect.arrayContaining([
      "DaemonSet",
      "HorizontalPodAutoscaler",
      "Ingress",
      "PodDisruptionBudget",
      "PriorityClass",
      "ResourceQuota",
    ]),
  );
  expect(await installation.update(SETTINGS)).toEqual({ created: [], updated: [], removed: [] });
  expect(await installation.refresh()).toEqual([]);
});
