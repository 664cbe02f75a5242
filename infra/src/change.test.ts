import { afterEach, describe, expect, it, test, vi } from "vitest";
import type { Registration } from "../../test/cluster/pulumi/registration.ts";
import { registrationsOf } from "../test/registrations.ts";

interface Described {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly annotations?: Record<string, string>;
    readonly finalizers?: string[];
  };
  readonly spec?: Record<string, unknown>;
}

function described({ inputs }: Registration): Described {
  return inputs as unknown as Described;
}

async function only(kind: string, settings: Record<string, unknown>, name?: string): Promise<Registration> {
  const found = (await registrationsOf(settings))
    .filter(({ inputs }) => inputs["kind"] === kind)
    .filter((one) => name === undefined || described(one).metadata.name === name);
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`there are ${found.length} of ${kind} ${name ?? ""}`);
  return first;
}

describe("a change of settings", () => {
  it("ends no sandboxes: whether destroy waits for them changes the guard in place", async () => {
    const [waits, passes] = [await only("ConfigMap", {}), await only("ConfigMap", { drainOnDestroy: false })];
    expect(passes.urn).toBe(waits.urn);
    expect(described(waits).metadata.finalizers).toEqual(["atoll.run/drain"]);
    expect(described(passes).metadata).not.toHaveProperty("finalizers");
  });

  test.each<[string, string, readonly string[], Record<string, unknown>]>([
    ["handler of the runtime class", "RuntimeClass", ["handler"], {}],
    [
      "value of the priority class",
      "PriorityClass",
      ["value", "preemptionPolicy"],
      { priorityClass: { create: true } },
    ],
  ])("makes an object anew for what the cluster does not change: the %s", async (_, kind, paths, settings) => {
    const { replaceOnChanges, deleteBeforeReplace, inputs } = await only(kind, settings);
    expect(replaceOnChanges).toEqual(paths);
    expect(Object.keys(inputs)).toEqual(expect.arrayContaining([...paths]));
    // Both have the same name, so the old one must go first.
    expect(deleteBeforeReplace).toBe(true);
  });

  it("takes the number of gateways back from an autoscaler, which would else keep the field", async () => {
    const forced = async (enabled: boolean): Promise<unknown> => {
      const one = await only("Deployment", { gateway: { autoscaling: { enabled } } }, "atoll-gateway");
      return described(one).metadata.annotations?.["pulumi.com/patchForce"];
    };
    expect(await forced(false)).toBe("true");
    expect(await forced(true)).toBeUndefined();
  });

  it("owns the whole strategy of the operator, so that another one leaves nothing of it behind", async () => {
    const strategyOf = async (leaderElection: boolean): Promise<unknown> =>
      described(await only("Deployment", { operator: { leaderElection } }, "atoll-operator")).spec?.["strategy"];
    expect(await strategyOf(true)).toEqual({
      type: "RollingUpdate",
      rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" },
    });
    expect(await strategyOf(false)).toEqual({ type: "Recreate" });
  });

  it("gives the nodes time for one after another", async () => {
    expect((await only("DaemonSet", {})).updateTimeout).toBe("30m");
  });
});

describe("definitions that an installation finds", () => {
  it("are taken over with all their fields: those of an earlier version, too", async () => {
    for (const name of ["sandboxes", "rootfssnapshots"]) {
      const { metadata } = described(await only("CustomResourceDefinition", {}, `${name}.sandbox.isola.run`));
      expect(metadata.annotations).toMatchObject({ "pulumi.com/patchForce": "true" });
    }
  });
});

describe("the providers", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("keep no path of the machine that runs them in the stack", async () => {
    vi.stubEnv("KUBECONFIG", "/etc/one/kubeconfig:/etc/other/kubeconfig");
    const providers = (await registrationsOf()).filter(({ type }) => type === "pulumi:providers:kubernetes");
    expect(providers.map(({ inputs }) => inputs["kubeconfig"])).toEqual(["", ""]);
  });
});

describe("namespaces", () => {
  const LEVEL = "pod-security.kubernetes.io/enforce";

  const runsc = { binaryPath: "/usr/local/bin/runsc" };
  const snapshots = { enabled: true, store: { url: "gs://bucket" }, runsc };
  test.each([
    ["an installer", { installer: { enabled: true } }, "privileged"],
    ["none", { installer: { enabled: false } }, "restricted"],
    ["mounters", { installer: { enabled: false }, snapshots }, "privileged"],
  ])("admit no more than runs in them: the system's, with %s", async (_, settings, level) => {
    const all = (await registrationsOf(settings)).filter(({ inputs }) => inputs["kind"] === "Namespace");
    const levels = all.map((one) => {
      const { name, labels } = (one.inputs as { metadata: { name: string; labels: Record<string, string> } }).metadata;
      return [name, labels[LEVEL]];
    });
    expect(Object.fromEntries(levels)).toEqual({ "atoll-system": level, "isola-sandboxes": "privileged" });
  });
});

describe("pods of the platform", () => {
  it("keep to Linux, beside what their settings say", async () => {
    const settings = { nodeSelector: { pool: "a" } };
    const all = await registrationsOf({ gateway: settings, operator: settings, installer: settings });
    const selectors = all
      .filter(({ inputs }) => ["Deployment", "DaemonSet"].includes(String(inputs["kind"])))
      .map(
        (one) => (described(one).spec as { template: { spec: { nodeSelector?: object } } }).template.spec.nodeSelector,
      );
    expect(selectors).toHaveLength(3);
    expect(new Set(selectors.map((one) => JSON.stringify(one)))).toEqual(
      new Set(['{"kubernetes.io/os":"linux","pool":"a"}']),
    );
  });
});
