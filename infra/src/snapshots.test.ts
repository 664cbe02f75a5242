import { describe, expect, it } from "vitest";
import type { Registration } from "../../test/cluster/pulumi/registration.ts";
import { registrationsOf } from "../test/registrations.ts";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

interface Container {
  readonly securityContext: object;
  readonly startupProbe: object;
  readonly ports?: unknown;
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
}

interface MounterPod {
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly nodeSelector: object;
  readonly priorityClassName: string;
  readonly securityContext: object;
  readonly tolerations: readonly object[];
  readonly containers: readonly [Container];
  readonly volumes: readonly ({ readonly name: string } & Readonly<Record<string, unknown>>)[];
}

const snapshots = (more: object = {}) => ({ snapshots: { enabled: true, store: { url: "s3://bucket" }, ...more } });
const kindOf = ({ inputs }: Registration): string => String(inputs["kind"]);
const nameOf = ({ inputs }: Registration): string => (inputs["metadata"] as { name: string }).name;

async function installed(settings: Record<string, unknown> = snapshots()) {
  const all = (await registrationsOf(settings)).filter(({ custom, type }) => custom && type.startsWith("kubernetes:"));
  const find = (kind: string, name: string): Registration => {
    const found = all.find((one) => kindOf(one) === kind && nameOf(one) === name);
    if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
    return found;
  };
  const pod = (): MounterPod =>
    (find("DaemonSet", "atoll-mounter").inputs["spec"] as { template: { spec: MounterPod } }).template.spec;
  return { all, find, pod };
}

/** All rights of an account, as `verb resource`, with the namespace. */
function rightsOf(all: readonly Registration[], name: string): Set<string> {
  const roles = all.filter((one) => /^(Cluster)?Role$/.test(kindOf(one)) && nameOf(one) === name);
  return new Set(
    roles.flatMap(({ inputs }) => {
      const { namespace = "*" } = inputs["metadata"] as { namespace?: string };
      return (inputs["rules"] as Rule[]).flatMap(({ resources, verbs, resourceNames = [""] }) =>
        resources.flatMap((resource) =>
          verbs.flatMap((verb) => resourceNames.map((one) => `${namespace} ${verb} ${resource} ${one}`.trimEnd())),
        ),
      );
    }),
  );
}

describe("an installation without snapshots", () => {
  it("has their definition, and of all else only what refuses their records", async () => {
    const { all } = await installed({});
    expect(all.map(nameOf).filter((name) => /mounter|snapshot/.test(name))).toEqual([
      "rootfssnapshots.sandbox.isola.run",
    ]);
    const told = all.filter(
      (one) => kindOf(one) !== "CustomResourceDefinition" && JSON.stringify(one.inputs).includes("rootfssnapshots"),
    );
    expect(told.map(nameOf)).toEqual(["atoll-operator"]);
    const rights = [...rightsOf(all, "atoll-operator")].filter((right) => right.includes("rootfssnapshots"));
    expect(rights.toSorted()).toEqual([
      "isola-sandboxes delete rootfssnapshots",
      "isola-sandboxes get rootfssnapshots",
      "isola-sandboxes list rootfssnapshots",
      "isola-sandboxes patch rootfssnapshots/status",
      "isola-sandboxes watch rootfssnapshots",
    ]);
  });
});

describe("the mounter's pods", () => {
  it("are root without a capability, and have of the node its loopback address and four folders", async () => {
    const pod = (await installed()).pod();
    const [container] = pod.containers;
    expect(pod).toMatchObject({ hostNetwork: true, securityContext: { seccompProfile: { type: "RuntimeDefault" } } });
    for (const member of ["hostPID", "hostIPC"]) expect(pod).not.toHaveProperty(member);
    expect(container.securityContext).toEqual({
      runAsUser: 0,
      runAsGroup: 0,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    const seen = pod.volumes.map(({ name, hostPath }) => [name, (hostPath as { path?: string } | undefined)?.path]);
    expect(Object.fromEntries(seen)).toEqual({
      tmp: undefined,
      restores: "/var/lib/atoll/restores",
      mounter: "/var/lib/atoll/mounter",
      "runsc-state": "/run/containerd/runsc/k8s.io",
      runsc: "/opt/atoll/gvisor",
    });
    // gVisor opens the archives by the node's paths.
    expect(container.volumeMounts.map(({ mountPath, readOnly = false }) => [mountPath, readOnly])).toEqual([
      ["/tmp", false],
      ["/var/lib/atoll/restores", false],
      ["/var/lib/atoll/mounter", false],
      ["/run/containerd/runsc/k8s.io", false],
      ["/opt/atoll/gvisor", true],
    ]);
  });

  it("open no port, and are asked on the loopback address", async () => {
    const [container] = (await installed(snapshots({ restorePort: 10_099 }))).pod().containers;
    expect(container).not.toHaveProperty("ports");
    for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"])
      expect(container).toHaveProperty(
        [probe, "httpGet"],
        expect.objectContaining({ host: "127.0.0.1", port: 10_099 }),
      );
  });

  it("run on every node with gVisor, before anything else is kept there", async () => {
    const { pod, find } = await installed(snapshots({ mounter: { nodeSelector: { pool: "a" } } }));
    expect(pod()).toMatchObject({
      nodeSelector: { "kubernetes.io/os": "linux", "atoll.run/gvisor": "true", pool: "a" },
      tolerations: [{ operator: "Exists" }],
      priorityClassName: "system-node-critical",
    });
    expect(find("ResourceQuota", "atoll-mounter-priority").inputs).toHaveProperty(
      "spec.scopeSelector.matchExpressions[0].values",
      ["system-node-critical"],
    );
    const { all } = await installed(snapshots({ mounter: { priorityClassName: "mine" } }));
    expect(all.filter((one) => kindOf(one) === "ResourceQuota")).toEqual([]);
  });

  it("see of somebody else's gVisor the program alone", async () => {
    const pod = (await installed(snapshots({ runsc: { binaryPath: "/usr/local/bin/runsc" } }))).pod();
    expect(pod.volumes.find(({ name }) => name === "runsc")).toEqual({
      name: "runsc",
      hostPath: { path: "/usr/local/bin/runsc", type: "File" },
    });
  });

  it("get credentials as a folder and an identity by their account, and neither unless asked", async () => {
    const account = { serviceAccount: { annotations: { "eks.amazonaws.com/role-arn": "arn" } } };
    const identityToken = { audience: "cloud" };
    const { pod, find } = await installed({
      ...snapshots({ store: { url: "s3://bucket", existingSecret: "mine" }, mounter: { ...account, identityToken } }),
    });
    const [container] = pod().containers;
    expect(pod().volumes.find(({ name }) => name === "credentials")).toMatchObject({ secret: { secretName: "mine" } });
    expect(container.env).toContainEqual({
      name: "ATOLL_SNAPSHOT_CREDENTIALS_DIR",
      value: container.volumeMounts.find(({ name }) => name === "credentials")?.mountPath,
    });
    expect(pod().volumes.find(({ name }) => name === "identity")).toHaveProperty(
      "projected.sources[0].serviceAccountToken.audience",
      "cloud",
    );
    expect(find("ServiceAccount", "atoll-mounter").inputs).toHaveProperty(
      "metadata.annotations",
      account.serviceAccount.annotations,
    );
    const plain = (await installed()).pod();
    expect(plain.volumes.map(({ name }) => name)).not.toContain("credentials");
    expect(plain.volumes.map(({ name }) => name)).not.toContain("identity");
    expect(plain.containers[0].env.map(({ name }) => name)).not.toContain("ATOLL_SNAPSHOT_CREDENTIALS_DIR");
  });
});

describe("rights for snapshots", () => {
  it("of the mounters are to read, and to write what they tell; a policy holds them to it", async () => {
    const { all, find } = await installed();
    const rights = rightsOf(all, "atoll-mounter");
    const writes = [...rights].filter((right) => !/ (get|list|watch) /.test(right)).toSorted();
    expect(writes).toEqual([
      "atoll-system create leases",
      "atoll-system update leases atoll-snapshot-collector",
      "isola-sandboxes create events",
      "isola-sandboxes patch events",
      "isola-sandboxes patch rootfssnapshots",
      "isola-sandboxes patch rootfssnapshots/status",
      "isola-sandboxes patch sandboxes/status",
    ]);
    expect([...rights].filter((right) => /secrets|nodes|^\*/.test(right))).toEqual([]);
    const policy = find("ValidatingAdmissionPolicy", "atoll-mounter-objects");
    expect(JSON.stringify(policy.inputs)).toContain("system:serviceaccount:atoll-system:atoll-mounter");
  });

  it("come to gateway and operator only where snapshots are taken", async () => {
    const [on, off] = [(await installed()).all, (await installed({})).all];
    for (const name of ["atoll-gateway", "atoll-operator"]) {
      const [more, plain] = [rightsOf(on, name), rightsOf(off, name)];
      expect([...plain].filter((right) => !more.has(right))).toEqual([]);
      const added = [...more].filter((right) => !plain.has(right));
      expect(added.length).toBeGreaterThan(0);
      expect(added.filter((right) => !/rootfssnapshots|^\* get nodes$/.test(right))).toEqual([]);
    }
  });

  it("let sandboxes start from archives only where snapshots are taken", async () => {
    const fenceOf = async (settings: Record<string, unknown>): Promise<string> => {
      const { find } = await installed(settings);
      return JSON.stringify(
        ["pods", "identity"].map((name) => find("ValidatingAdmissionPolicy", `atoll-sandbox-${name}`).inputs),
      );
    };
    expect(await fenceOf({})).toContain("snapshots are off");
    const on = await fenceOf(snapshots({ restoreFolder: "/data/restores", restorePort: 10_077 }));
    expect(on).toContain("/data/restores/");
    expect(on).toContain("10077");
  });
});
