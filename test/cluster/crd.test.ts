import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { sandboxCrd } from "#api/crd/sandbox-crd.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { CRDS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { call, createNamespace, findCluster, type Cluster } from "./cluster.ts";

type Draft = Record<string, unknown>;

const CONTAINER = { name: "sandbox0", image: "example.org/image:1" };
const TEMPLATE = { spec: { containers: [CONTAINER] } };

let cluster: Cluster;
let client: KubeClient;
let namespace: string;
let removeNamespace: (() => Promise<unknown>) | undefined;
let count = 0;

beforeAll(async () => {
  cluster = await findCluster();
  client = cluster.client();
  await client.apply(CRDS, sandboxCrd(), call(), { fieldManager: "atoll-test" });
  await vi.waitUntil(served, 20_000);
  [namespace, removeNamespace] = await createNamespace(client, "crd");
});
afterAll(() => removeNamespace?.());

async function served(): Promise<boolean> {
  const { status } = await client.get(CRDS, { name: sandboxCrd().metadata.name }, call());
  return status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True") ?? false;
}

/** Objects as users write them: the API server judges, not the compiler. */
function draft(spec: Draft, name = `s${++count}`): SandboxResource {
  return { metadata: { name, namespace }, spec: { podTemplate: TEMPLATE, ...spec } } as unknown as SandboxResource;
}

async function refusal(action: Promise<KubeObject>): Promise<string> {
  const error = await action.then(
    () => "accepted",
    (thrown: unknown) => thrown,
  );
  return error instanceof KubeError ? `${error.status} ${error.message}` : String(error);
}

const create = (object: SandboxResource) => client.create(SANDBOXES, object, call(), { dryRun: true });
const containers = (...list: readonly Draft[]) => ({ podTemplate: { spec: { containers: list } } });
const network = (members: Draft): Draft => ({ network: members });
const policy = (members: Draft): Draft => ({ terminationPolicy: members });
const sources = (...list: readonly Draft[]): Draft => ({ rootfsSnapshotSources: list });

describe("a Sandbox is accepted", () => {
  it.each<[string, Draft]>([
    ["with a template alone", {}],
    ["with sixteen containers", containers(...Array.from({ length: 16 }, (_, i) => ({ ...CONTAINER, name: `c${i}` })))],
    ["with every timeout", { timeoutSeconds: 1, startupTimeoutSeconds: 1 }],
    ["with internet", network({ allowInternetEgress: true, allowIPv6Egress: true, allowClusterDNS: true })],
    [
      "with IPv4 ranges and servers",
      network({ allowedEgressCIDRs: ["0.0.0.0/0", "9.9.9.9/8"], nameservers: ["10.0.0.1"] }),
    ],
    [
      "with IPv6 ranges and servers where IPv6 is on",
      network({
        allowIPv6Egress: true,
        allowedEgressCIDRs: ["2606:4700::/32", "::/0"],
        nameservers: ["2606:4700::1111"],
      }),
    ],
    [
      "with sixteen ranges and three servers",
      network({ allowedEgressCIDRs: Array(16).fill("255.255.255.255/32"), nameservers: Array(3).fill("9.9.9.9") }),
    ],
    ["with the greatest rate", network({ egressRateLimitBytesPerSecond: 1_000_000_000_000 })],
    ["with nothing opened", network({})],
    ["with an empty termination policy", policy({})],
    ["with a snapshot at its end", policy({ type: "SnapshotRootfs", snapshotRootfs: { snapshotName: "a.b" } })],
    ["with one snapshot source without a container", sources({ snapshotName: "base" })],
    [
      "with a snapshot source for each container",
      sources({ snapshotName: "base", containerName: "a" }, { snapshotName: "base", containerName: "b" }),
    ],
  ])("%s", async (_, spec) => expect(await refusal(create(draft(spec)))).toBe("accepted"));

  it("with a name of 47 characters", async () =>
    expect(await refusal(create(draft({}, "n".repeat(47))))).toBe("accepted"));

  it("with any other member of a pod template, which it keeps", async () => {
    const podTemplate = {
      metadata: { labels: { team: "a" }, annotations: { note: "b" }, creationTimestamp: null },
      spec: {
        containers: [
          { ...CONTAINER, env: [{ name: "A", value: "1" }], resources: { limits: { cpu: 1, memory: "1Gi" } } },
        ],
        nodeSelector: { zone: "z" },
        volumes: [{ name: "v", emptyDir: {} }],
      },
    };
    expect((await create(draft({ podTemplate }))).spec.podTemplate).toEqual(podTemplate);
  });
});

describe("a Sandbox is refused", () => {
  it.each<[string, Draft, string]>([
    ["without a template", { podTemplate: undefined }, "spec.podTemplate: Required value"],
    ["without containers", { podTemplate: { spec: {} } }, "spec.podTemplate.spec.containers: Required value"],
    ["with no container", containers(), "spec.podTemplate.spec.containers in body should have at least 1 items"],
    ["with a container without a name", containers({ image: "a" }), "containers[0].name: Required value"],
    ["with a container without an image", containers({ name: "a" }), "containers[0].image: Required value"],
    [
      "with two containers of one name",
      containers(CONTAINER, CONTAINER),
      'containers[1]: Duplicate value: {"name":"sandbox0"}',
    ],
    ["with a bad container name", containers({ ...CONTAINER, name: "A_b" }), "containers[0].name in body should match"],
    [
      "with a container of the agent's name",
      containers({ ...CONTAINER, name: "sandbox-sidecar" }),
      "the name sandbox-sidecar belongs to the sandbox's agent: choose another",
    ],
    ["with no lifetime", { timeoutSeconds: 0 }, "spec.timeoutSeconds in body should be greater than or equal to 1"],
    ["with no time to start", { startupTimeoutSeconds: 0 }, "should be greater than or equal to 1"],
    ["with a lifetime of another type", { timeoutSeconds: "60" }, "must be of type integer"],
    [
      "with a range that is none",
      network({ allowedEgressCIDRs: ["10.0.0.0/8", "9.9.9.9"] }),
      'spec.network.allowedEgressCIDRs[1]: Invalid value: "string": cannot read the address range "9.9.9.9"',
    ],
    [
      "with a range too long",
      network({ allowedEgressCIDRs: ["9.9.9.9/33"] }),
      'cannot read the address range "9.9.9.9/33"',
    ],
    [
      "with an IPv4-mapped range",
      network({ allowIPv6Egress: true, allowedEgressCIDRs: ["::ffff:10.0.0.0/104"] }),
      'cannot read the address range "::ffff:10.0.0.0/104"',
    ],
    [
      "with a server that is none",
      network({ nameservers: ["dns.example"] }),
      'cannot read the nameserver "dns.example"',
    ],
    [
      "with an IPv4-mapped server",
      network({ allowIPv6Egress: true, nameservers: ["::ffff:9.9.9.9"] }),
      'cannot read the nameserver "::ffff:9.9.9.9"',
    ],
    [
      "with an IPv6 range where IPv6 is off",
      network({ allowedEgressCIDRs: ["2606:4700::/32"] }),
      "IPv6 ranges in allowedEgressCIDRs need allowIPv6Egress: true",
    ],
    [
      "with an IPv6 server where IPv6 is off",
      network({ allowIPv6Egress: false, nameservers: ["2606:4700::1111"] }),
      "IPv6 nameservers need allowIPv6Egress: true",
    ],
    ["with 17 ranges", network({ allowedEgressCIDRs: Array(17).fill("9.9.9.9/32") }), "must have at most 16 items"],
    ["with four servers", network({ nameservers: Array(4).fill("9.9.9.9") }), "must have at most 3 items"],
    ["with a rate of nothing", network({ egressRateLimitBytesPerSecond: 0 }), "greater than or equal to 1"],
    [
      "with too great a rate",
      network({ egressRateLimitBytesPerSecond: 1_000_000_000_001 }),
      "less than or equal to 1000000000000",
    ],
    ["with another end", policy({ type: "Keep" }), 'Unsupported value: "Keep"'],
    [
      "with a snapshot at its end that is not described",
      policy({ type: "SnapshotRootfs" }),
      "snapshotRootfs must be present when type is SnapshotRootfs and absent otherwise",
    ],
    [
      "with a described snapshot that is not asked for",
      policy({ snapshotRootfs: {} }),
      "snapshotRootfs must be present when type is SnapshotRootfs and absent otherwise",
    ],
    ["with a bad snapshot name", sources({ snapshotName: "../x" }), "snapshotName in body should match"],
    [
      "with two snapshot sources for one container",
      sources({ snapshotName: "a", containerName: "x" }, { snapshotName: "b", containerName: "x" }),
      "with more than one snapshot source each needs a containerName of its own",
    ],
    [
      "with two snapshot sources and one container name",
      sources({ snapshotName: "a" }, { snapshotName: "b", containerName: "x" }),
      "with more than one snapshot source each needs a containerName of its own",
    ],
  ])("%s", async (_, spec, message) => {
    const answer = await refusal(create(draft(spec)));
    expect(answer).toMatch(/^422 /);
    expect(answer).toContain(message);
  });

  it("with a name of 48 characters", async () =>
    expect(await refusal(create(draft({}, "n".repeat(48))))).toContain(
      "the name of a sandbox has at most 47 characters",
    ));
});

describe("from its creation on", () => {
  const FULL = {
    network: { allowedEgressCIDRs: ["9.9.9.0/24"] },
    terminationPolicy: { type: "SnapshotRootfs", snapshotRootfs: { snapshotName: "end", timeoutSeconds: 300 } },
    timeoutSeconds: 60,
    rootfsSnapshotSources: [{ snapshotName: "base" }],
  };
  const OTHER: Record<keyof typeof FULL, unknown> = {
    network: { allowedEgressCIDRs: ["9.9.8.0/24"] },
    terminationPolicy: { snapshotRootfs: { snapshotName: "other" } },
    timeoutSeconds: 61,
    rootfsSnapshotSources: [{ snapshotName: "other" }],
  };
  const members = Object.keys(FULL) as (keyof typeof FULL)[];
  const patch = (name: string, spec: Draft) => client.patch(SANDBOXES, { namespace, name }, { spec }, call());
  const message = (member: string) => `${member} cannot be changed, added or removed after the sandbox is created`;

  let full: SandboxResource;
  let bare: SandboxResource;
  beforeAll(async () => {
    full = await client.create(SANDBOXES, draft(FULL), call());
    bare = await client.create(SANDBOXES, draft({}), call());
  });

  it.each(members)("%s stays as it is", async (member) => {
    const { name } = full.metadata;
    expect(await refusal(patch(name, { [member]: OTHER[member] }))).toContain(message(member));
  });
  it.each(members)("%s is not removed", async (member) => {
    const { name } = full.metadata;
    expect(await refusal(patch(name, { [member]: null }))).toContain(message(member));
  });
  it.each(members)("%s is not added", async (member) => {
    const { name } = bare.metadata;
    expect(await refusal(patch(name, { [member]: FULL[member] }))).toContain(message(member));
  });
  it("an empty network is not added either", async () =>
    expect(await refusal(patch(bare.metadata.name, { network: {} }))).toContain(message("network")));
  it("the rest may change", async () => {
    const changed = await patch(full.metadata.name, { startupTimeoutSeconds: 5, ...FULL });
    expect(changed.spec.startupTimeoutSeconds).toBe(5);
  });
});

describe("the API server", () => {
  it("fills in the defaults", async () => {
    const { spec } = await create(draft(policy({ type: "SnapshotRootfs", snapshotRootfs: {} })));
    expect(spec).toMatchObject({
      startupTimeoutSeconds: 90,
      terminationPolicy: { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 300 } },
    });
    expect((await create(draft(policy({})))).spec.terminationPolicy).toEqual({ type: "Delete" });
    expect(spec).not.toHaveProperty("timeoutSeconds");
    expect(spec).not.toHaveProperty("network");
  });

  it("shows the state of a new sandbox before anybody has written one", async () => {
    const { metadata } = await client.create(SANDBOXES, draft({}), call());
    const read = await client.get(SANDBOXES, { namespace, name: metadata.name }, call());
    expect(read.status?.conditions).toEqual([
      expect.objectContaining({ type: "Ready", status: "Unknown", reason: "PodPending" }),
    ]);
    const list = await client.list(SANDBOXES, { namespace, fieldSelector: `metadata.name=${metadata.name}` }, call());
    expect(list.items.map(({ status }) => status?.conditions?.length)).toEqual([1]);
  });

  it("lets status be applied over the first one, and keeps spec out of it", async () => {
    const { metadata } = await client.create(SANDBOXES, draft({}), call());
    const condition = {
      type: "Ready",
      status: "True" as const,
      reason: "PodRunning",
      message: "The sandbox runs",
      lastTransitionTime: "2026-11-02T10:00:00Z",
    };
    const status = {
      conditions: [condition],
      podIP: "10.0.0.9",
      timeoutAt: "2026-11-02T11:00:00Z",
      sidecarVersion: "1.2.3",
    };
    const written = await client.apply(
      SANDBOXES,
      {
        metadata: { name: metadata.name, namespace },
        spec: { podTemplate: TEMPLATE, timeoutSeconds: 5, startupTimeoutSeconds: 90 },
        status,
      },
      call(),
      { fieldManager: "atoll-test", subresource: "status" },
    );
    expect(written.status).toEqual(status);
    expect(written.spec).not.toHaveProperty("timeoutSeconds");
    expect(written.metadata.generation).toBe(1);
  });

  it("prints the columns Ready, Age and Reason by the short name", async () => {
    const { metadata } = await client.create(SANDBOXES, draft({}), call());
    const { stdout } = await cluster.run("kubectl", ["get", "sb", "-n", namespace, metadata.name]);
    const [head, line] = stdout.trim().split("\n");
    expect(head?.split(/ +/)).toEqual(["NAME", "READY", "AGE", "REASON"]);
    expect(line?.split(/ +/)).toEqual([metadata.name, "Unknown", expect.stringMatching(/^\d+s$/), "PodPending"]);
  });

  it("explains the fields", async () => {
    const { stdout } = await cluster.run("kubectl", ["explain", "sandbox.spec.network.allowedEgressCIDRs"]);
    expect(stdout.replaceAll(/\s+/g, " ")).toContain("without effect beside allowInternetEgress");
  });
});
