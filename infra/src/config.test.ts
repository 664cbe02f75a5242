import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { parse } from "yaml";
import { REGISTRY } from "#testbed/layout.ts";
import { API_KEY, stackSettings } from "../test/registrations.ts";
import { readInstallConfig } from "./config.ts";

describe("readInstallConfig", () => {
  const read = (settings: Record<string, unknown>) => readInstallConfig(stackSettings(settings), "1.2.3");

  it("needs nothing but API keys", () => {
    const { imageTag, systemNamespace, sandboxNamespaces, gateway } = read({});
    expect({ imageTag, system: systemNamespace.name, sandboxes: sandboxNamespaces.map(({ name }) => name) }).toEqual({
      imageTag: "1.2.3",
      system: "atoll-system",
      sandboxes: ["isola-sandboxes"],
    });
    expect(gateway.sandboxNamespace).toBe("isola-sandboxes");
  });

  it("gives sandboxes the runtime class that it makes, unless told otherwise", () => {
    const nameOf = (settings: Record<string, unknown>) => read(settings).operator.sandboxes.runtimeClassName;
    expect(nameOf({})).toBe("gvisor");
    expect(nameOf({ runtimeClass: { name: "mine" } })).toBe("mine");
    expect(nameOf({ runtimeClass: { name: "mine" }, operator: { sandboxes: { runtimeClassName: "other" } } })).toBe(
      "other",
    );
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["a key that nobody knows", { gatway: {} }, "gatway"],
    ["a member that nobody knows", { gateway: { replica: 2 } }, "replica"],
    ["a wrong type", { gateway: { replicas: "two" } }, "gateway.replicas"],
    ["text where a structure belongs", { gateway: "big" }, "gateway: expected a structure"],
    ["a quantity that is none", { operator: { resources: { limits: { cpu: "lots" } } } }, "500m or 128Mi"],
    ["a digest that is none", { gateway: { image: { digest: "latest" } } }, "sha256:"],
    ["no API key", { apiKeys: [] }, "apiKeys: the gateway needs API keys"],
    ["a short API key", { apiKeys: ["short"] }, "at least 16 characters"],
    ["an API key of two lines", { apiKeys: [`${API_KEY}\n${API_KEY}`] }, "no white space"],
    ["a namespace named twice", { sandboxNamespaces: [{ name: "a" }, { name: "a" }] }, "named twice"],
    ["sandboxes in the system namespace", { sandboxNamespaces: [{ name: "atoll-system" }] }, "one of their own"],
    [
      "a served namespace without sandboxes",
      { gateway: { sandboxNamespace: "b" } },
      "b is not one of sandboxNamespaces",
    ],
    ["several operators without a leader", { operator: { replicas: 2, leaderElection: false } }, "needs a leader"],
    ["an Ingress without a name", { gateway: { ingress: { enabled: true } } }, "at least one of hosts"],
    [
      "an agent whose request is above its limit",
      { operator: { sandboxes: { agentResources: { requests: { memory: "1Gi" }, limits: { memory: "1000Mi" } } } } },
      "operator.sandboxes.agentResources.limits.memory: the agent asks for 1Gi, which is more than the limit",
    ],
    [
      "an agent with an amount that is none",
      { operator: { sandboxes: { agentResources: { limits: { storage: "1Gi" } } } } },
      "storage",
    ],
    ["no retention at all", { operator: { sandboxes: { timeoutRetentionSeconds: -1 } } }, "timeoutRetentionSeconds"],
    ["an age that the operator refuses", { operator: { sandboxes: { provisionalSeconds: 0 } } }, "provisionalSeconds"],
    ["a number of streams that the gateway refuses", { gateway: { maxStreams: 0 } }, "gateway.maxStreams"],
    ["an autoscaler upside down", { gateway: { autoscaling: { minReplicas: 5, maxReplicas: 2 } } }, "minReplicas"],
    ["snapshots without a store", { snapshots: { enabled: true } }, "snapshots.store.url: snapshots need a store"],
    [
      "a store that is no URL",
      { snapshots: { enabled: true, store: { url: "bucket" } } },
      "snapshots.store.url: Cannot use the store's URL",
    ],
    [
      "a store of one node",
      { snapshots: { enabled: true, store: { url: "file:///data" } } },
      "a folder is of one node",
    ],
    [
      "a store with a secret in its URL",
      { snapshots: { enabled: true, store: { url: "s3://bucket?secret_access_key=x" } } },
      "looks like a credential",
    ],
    ["a credential that nobody reads", { snapshotCredentials: { AWS_KEY: "x" } }, "AWS_KEY"],
    [
      "credentials for nobody",
      { snapshotCredentials: { AZURE_STORAGE_KEY: "x" }, snapshots: { store: { anonymous: true } } },
      "credentials are given as well",
    ],
    [
      "snapshots by a runsc that nobody names",
      { installer: { enabled: false }, snapshots: { enabled: true, store: { url: "s3://bucket" } } },
      "snapshots.runsc.binaryPath",
    ],
    [
      "mounters with the operator's account",
      {
        snapshots: {
          enabled: true,
          store: { url: "s3://bucket" },
          mounter: { serviceAccount: { name: "atoll-operator" } },
        },
      },
      "an account of its own",
    ],
    [
      "a folder in another",
      { snapshots: { restoreFolder: "/var/lib/atoll/mounter/restores" } },
      "must not lie in one another",
    ],
    ["a folder that is none", { snapshots: { mounter: { folder: "data" } } }, "Expected an absolute path"],
    ["a size that is none", { snapshots: { mounter: { cacheSize: "-1Gi" } } }, "Expected an amount of bytes"],
    [
      "a variable that has a key",
      { snapshots: { mounter: { environment: { ATOLL_RUNSC: "/x" } } } },
      "ATOLL_RUNSC has a key of its own",
    ],
  ])("refuses %s", (_, settings, message) => {
    expect(() => read(settings)).toThrow(message);
  });

  it("says all faults at once, and no API key", () => {
    const faults = () => read({ apiKeys: ["short"], operator: { replicas: 0 }, gateway: { service: { port: 0 } } });
    expect(faults).toThrow(/operator\.replicas.*gateway\.service\.port/);
    expect(faults).not.toThrow("short");
  });

  it("takes what the command line turned into numbers and flags as text", () => {
    const { gateway, operator } = read({
      gateway: { service: { annotations: { "a/b": true } }, image: { tag: 12 } },
      operator: { resources: { limits: { cpu: 1, memory: "1024Mi" } }, tolerations: [{ key: "k", value: false }] },
    });
    expect(gateway.service.annotations).toEqual({ "a/b": "true" });
    expect(gateway.image.tag).toBe("12");
    expect(operator.tolerations).toEqual([{ key: "k", value: "false" }]);
    expect(operator.resources.limits).toEqual({ cpu: "1", memory: "1Gi" });
  });
});

describe("readInstallConfig of snapshots", () => {
  const runscOf = (settings: Record<string, unknown>) =>
    readInstallConfig(stackSettings(settings), "1.2.3").snapshots.runsc.binaryPath;

  it("takes the runsc that the installer brings, unless another is named", () => {
    expect(runscOf({})).toBe("/opt/atoll/gvisor/current/runsc");
    expect(runscOf({ installer: { gvisorDir: "/opt/g" } })).toBe("/opt/g/current/runsc");
    expect(runscOf({ snapshots: { runsc: { binaryPath: "/usr/local/bin/runsc" } } })).toBe("/usr/local/bin/runsc");
  });
});

describe("Pulumi.testbed.yaml", () => {
  it("is a configuration", () => {
    const text = readFileSync(join(import.meta.dirname, "../../Pulumi.testbed.yaml"), "utf8");
    const { config } = parse(text) as { config: Record<string, unknown> };
    const settings = Object.entries(config).map(([key, value]) => [key.replace(/^atoll:/, ""), value] as const);
    const { imageRegistry, crds } = readInstallConfig(stackSettings(Object.fromEntries(settings)), "1.2.3");
    expect({ imageRegistry, crds }).toEqual({ imageRegistry: REGISTRY, crds: { install: true, keep: false } });
  });
});
