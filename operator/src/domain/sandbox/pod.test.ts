import { describe, expect, it } from "vitest";
import { AGENT_CAPABILITIES, CONTAINER_MARK } from "#sidecar/manifest.ts";
import { sampleSandbox, SETTINGS, WITH_SNAPSHOTS } from "../../../test/samples.ts";
import { sandboxPod } from "./pod.ts";
import { wantedObjects } from "./wanted.ts";

const podOf = (podTemplate: object, spec: object = {}) =>
  sandboxPod(sampleSandbox({ ...spec, podTemplate: podTemplate as never }), SETTINGS, "agent-key");
const withContainers = (...containers: readonly object[]) => podOf({ spec: { containers } });
const main = { name: "main", image: "img" };

describe("sandboxPod()", () => {
  it("puts the agent first, with what it needs to be known and to look into the others", () => {
    const [agent, user] = withContainers(main).spec.containers;
    expect(agent).toMatchObject({ name: "sandbox-sidecar", image: "registry/agent:1" });
    expect(agent?.securityContext).toMatchObject({
      runAsUser: 0,
      capabilities: { drop: ["ALL"], add: AGENT_CAPABILITIES.map((name) => name.replace("CAP_", "")) },
    });
    expect(agent?.env).toEqual(
      expect.arrayContaining([
        { name: "ATOLL_AGENT_ID", value: "uid-a" },
        { name: "ATOLL_GATEWAY_PUBLIC_KEY", value: "k".repeat(43) },
        { name: "ATOLL_AGENT_KEY", value: "agent-key" },
        { name: "ATOLL_AGENT_LISTEN", value: "$(ATOLL_POD_IP):10032" },
      ]),
    );
    expect(user?.name).toBe("main");
  });

  it("forces what makes it a sandbox, whatever the template says", () => {
    const { spec } = podOf({
      spec: {
        containers: [main],
        restartPolicy: "Always",
        runtimeClassName: "runc",
        automountServiceAccountToken: true,
      },
    });
    expect(spec).toMatchObject({
      restartPolicy: "Never",
      runtimeClassName: "gvisor",
      automountServiceAccountToken: false,
      shareProcessNamespace: true,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 1,
      dnsPolicy: "None",
    });
  });

  it("keeps the rest of the template", () => {
    const kept = {
      nodeSelector: { zone: "a" },
      tolerations: [{ key: "k", operator: "Exists" }],
      volumes: [{ name: "v", emptyDir: {} }],
      terminationGracePeriodSeconds: 7,
    };
    const volumeMounts = [{ name: "v", mountPath: "/v" }];
    const { spec } = podOf({ spec: { ...kept, containers: [{ ...main, volumeMounts }] } });
    expect(spec).toMatchObject(kept);
    expect(spec.containers[1]).toMatchObject({ volumeMounts });
  });

  it.each([
    { given: {}, grace: 1 },
    { given: { terminationGracePeriodSeconds: 0 }, grace: 0 },
    { given: { terminationGracePeriodSeconds: 300 }, grace: 300 },
    { given: { terminationGracePeriodSeconds: 301 }, grace: 300 },
    { given: { terminationGracePeriodSeconds: 1e9 }, grace: 300 },
  ])("lets a pod end politely for $grace s at $given", ({ given, grace }) => {
    expect(podOf({ spec: { containers: [main], ...given } }).spec.terminationGracePeriodSeconds).toBe(grace);
  });

  it.each([
    { given: {}, command: ["sleep", "infinity"] },
    { given: { command: [] }, command: ["sleep", "infinity"] },
    { given: { command: ["a", "b"] }, command: ["a", "b"] },
    { given: { args: ["x"] }, command: undefined },
  ])("runs $command for $given", ({ given, command }) => {
    expect(withContainers({ ...main, ...given }).spec.containers[1]?.command).toEqual(command);
  });

  it("says the container's name last in its environment, and drops a template's own word", () => {
    const env = [
      { name: CONTAINER_MARK, value: "other" },
      { name: "A", value: "1" },
    ];
    expect(withContainers({ ...main, env }).spec.containers[1]?.env).toEqual([
      { name: "A", value: "1" },
      { name: CONTAINER_MARK, value: "main" },
    ]);
  });

  it("marks each container that runs beside the others in a way of its own", () => {
    const sidecar = { name: "s", image: "i", restartPolicy: "Always" };
    const pod = podOf({
      spec: {
        containers: [
          main,
          { name: "b", image: "i", securityContext: { capabilities: { drop: ["ALL"], add: ["CHOWN"] } } },
        ],
        initContainers: [{ name: "i", image: "i" }, sidecar],
      },
    });
    const all = [...pod.spec.containers.slice(1), ...(pod.spec.initContainers ?? [])];
    const added = all.map(({ securityContext }) => securityContext?.capabilities?.add?.join());
    expect(new Set(added).size).toBe(4);
    expect(all[1]?.securityContext?.capabilities).toMatchObject({ drop: ["ALL"] });
    expect(added[1]).toMatch(/^CHOWN,/);
    expect(added[2]).toBeUndefined();
  });

  it("takes from the template no label and no annotation that is the operator's", () => {
    const { metadata } = podOf({
      metadata: {
        labels: { team: "x", "isola.run/allow-ipv4-internet-egress": "true", "app.kubernetes.io/instance": "other" },
        annotations: { note: "y", "dev.gvisor.flag.overlay2": "none", "dev.gvisor.tar.rootfs.upper.main": "/etc" },
      },
      spec: { containers: [main] },
    });
    expect(metadata.labels).toEqual({
      team: "x",
      "app.kubernetes.io/name": "isola-sandbox",
      "app.kubernetes.io/instance": "a",
      "app.kubernetes.io/component": "sandbox",
      "app.kubernetes.io/part-of": "isola",
      "app.kubernetes.io/managed-by": "isola-operator",
      "isola.run/sandbox": "true",
      "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    });
    expect(metadata.annotations).toEqual({
      note: "y",
      "dev.gvisor.flag.overlay2": "root:self",
      "isola.run/sidecar-version": "1.2.3",
      "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    });
    expect(metadata.ownerReferences).toMatchObject([{ kind: "Sandbox", uid: "uid-a", controller: true }]);
  });

  it("limits the rate of what leaves", () => {
    const network = { allowInternetEgress: true, egressRateLimitBytesPerSecond: 10_000_000 };
    const { metadata } = podOf({ spec: { containers: [main] } }, { network });
    expect(metadata.annotations).toMatchObject({
      "dev.gvisor.flag.qdisc": "tbf",
      "dev.gvisor.flag.qdisc-tbf-rate": "10000000",
      "dev.gvisor.flag.qdisc-tbf-burst": "1000000",
    });
    expect(metadata.labels).toMatchObject({ "isola.run/allow-ipv4-internet-egress": "true" });
  });

  it("limits the agent exactly where all containers have limits", () => {
    const limits = { memory: "64Mi", cpu: "1" };
    const [agent] = withContainers(
      { ...main, resources: { limits } },
      { name: "b", image: "i", resources: { limits: { memory: "1Gi" } } },
    ).spec.containers;
    expect(agent?.resources).toEqual({ requests: { cpu: "10m", memory: "48Mi" }, limits: { memory: "128Mi" } });
    expect(withContainers(main).spec.containers[0]?.resources).toEqual({ requests: { cpu: "10m", memory: "48Mi" } });
  });

  it("adds the installation's pull secrets and priority class to the template's", () => {
    const settings = { ...SETTINGS, imagePullSecrets: ["own", "both"], priorityClass: "low" };
    const podTemplate = { spec: { containers: [main], imagePullSecrets: [{ name: "both" }] } };
    const { spec } = sandboxPod(sampleSandbox({ podTemplate }), settings, "k");
    expect(spec.imagePullSecrets).toEqual([{ name: "both" }, { name: "own" }]);
    expect(spec.priorityClassName).toBe("low");
  });
});

describe("wantedObjects()", () => {
  const wanted = (spec: object) => wantedObjects(sampleSandbox(spec), SETTINGS, { agentKey: "k" });
  const template = (spec: object, container: object = {}) =>
    wanted({ podTemplate: { spec: { containers: [{ ...main, ...container }], ...spec } } });

  it("refuses a snapshot, a blocked range, and a template that is no pod's", () => {
    const fault = (reason: string) => ({ kind: "fault", fault: { reason } });
    const sources = [{ snapshotName: "s" }];
    expect(wanted({ rootfsSnapshotSources: sources })).toMatchObject(fault("RootfsRestoreConfigurationError"));
    const network = { allowedEgressCIDRs: ["10.1.0.0/16"] };
    expect(wanted({ network })).toMatchObject(fault("NetworkPolicyFailed"));
    expect(template({ initContainers: "none" })).toMatchObject(fault("PodCreationFailed"));
  });

  it("makes a policy where the static ones do not do", () => {
    const network = { allowedEgressCIDRs: ["1.0.0.0/8"] };
    expect(wanted({ network })).toMatchObject({ kind: "objects", policy: { metadata: { name: "a-custom-netpol" } } });
    expect(wanted({})).not.toHaveProperty("policy");
  });

  it.each([
    { what: "hostNetwork", spec: { hostNetwork: true } },
    { what: "hostPID", spec: { hostPID: true } },
    { what: "nodeName", spec: { nodeName: "n" } },
    { what: "priorityClassName", spec: { priorityClassName: "system-node-critical" } },
    { what: "hostPath", spec: { volumes: [{ name: "v", hostPath: { path: "/" } }] } },
    { what: "token", spec: { volumes: [{ name: "v", projected: { sources: [{ serviceAccountToken: {} }] } }] } },
    { what: "privileged", container: { securityContext: { privileged: true } } },
    { what: "procMount", container: { securityContext: { procMount: "Unmasked" } } },
    { what: "SYS_ADMIN", container: { securityContext: { capabilities: { add: ["CAP_SYS_ADMIN"] } } } },
    { what: "hostPort", container: { ports: [{ containerPort: 80, hostPort: 80 }] } },
    { what: "privileged", spec: { initContainers: [{ name: "i", securityContext: { privileged: true } }] } },
  ])("refuses $what in a template", ({ what, spec = {}, container = {} }) => {
    const message = expect.stringMatching(new RegExp(`asks for what no sandbox may have: .*${what}`)) as string;
    expect(template(spec, container)).toMatchObject({ kind: "fault", fault: { reason: "PodCreationFailed", message } });
  });

  it.each<[string, object, object]>([
    [
      "the pod",
      {},
      { securityContext: null, volumes: null, initContainers: null, nodeName: null, imagePullSecrets: null },
    ],
    ["its end", {}, { terminationGracePeriodSeconds: null }],
    ["a container", { securityContext: null, env: null, command: null, args: null, resources: null, ports: null }, {}],
    ["a container's security", { securityContext: { capabilities: null, procMount: null, windowsOptions: null } }, {}],
    ["capabilities", { securityContext: { capabilities: { add: null, drop: null } } }, {}],
    ["limits", { resources: { limits: null } }, {}],
  ])("takes what is null in %s for absent", (_, container, spec) => {
    const given = template(spec, container);
    const plain = template({});
    expect(given.kind).toBe("objects");
    const podOf = (wanted: typeof given) => JSON.stringify(wanted.kind === "objects" ? wanted.pod : undefined);
    expect(podOf(given).replaceAll(/"(resources|drop)":\{\},?/g, "")).toBe(podOf(plain));
  });

  it("leaves a null where it is an empty text, and refuses what stands beside nulls", () => {
    const nodeSelector = { "example.com/pool": null };
    expect(template({ nodeSelector })).toMatchObject({ pod: { spec: { nodeSelector } } });
    const volumes = [{ name: "v", emptyDir: null, hostPath: { path: "/" } }];
    expect(template({ volumes }, { securityContext: null })).toMatchObject({ kind: "fault" });
  });

  it("lets a template add and drop what containers may have", () => {
    const capabilities = { add: ["NET_BIND_SERVICE"], drop: ["ALL"] };
    expect(template({}, { securityContext: { capabilities }, ports: [{ containerPort: 80 }] }).kind).toBe("objects");
  });
});

describe("sandboxPod() of a sandbox that wants a snapshot at its end", () => {
  const terminationPolicy = { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 200 } } as const;
  const savedPod = (container: object, settings = WITH_SNAPSHOTS) => {
    const podTemplate = {
      spec: {
        containers: [
          { ...main, ...container },
          { name: "b", image: "i" },
        ],
      },
    };
    return sandboxPod(sampleSandbox({ podTemplate, terminationPolicy }), settings, "k").spec;
  };

  it("holds its first container's end, and says for how long", () => {
    const { containers, terminationGracePeriodSeconds } = savedPod({});
    const httpGet = { host: "127.0.0.1", port: 10_033, path: "/v1/stops/ns/uid-a" };
    expect(containers.map(({ lifecycle }) => lifecycle)).toEqual([undefined, { preStop: { httpGet } }, undefined]);
    expect(terminationGracePeriodSeconds).toBe(201);
  });

  it("leaves a hook of the user's own, and a pod where no snapshots are taken, as they are", () => {
    const lifecycle = { preStop: { exec: { command: ["x"] } }, postStart: { exec: { command: ["y"] } } };
    expect(savedPod({ lifecycle }).containers[1]?.lifecycle).toEqual(lifecycle);
    const { preStop: _, ...postStart } = lifecycle;
    expect(savedPod({ lifecycle: postStart }).containers[1]?.lifecycle).toMatchObject({ ...postStart, preStop: {} });
    const plain = savedPod({}, SETTINGS);
    expect([plain.containers[1]?.lifecycle, plain.terminationGracePeriodSeconds]).toEqual([undefined, 1]);
  });

  it("is the same pod as ever where it wants neither a snapshot nor one at its end", () => {
    const sandbox = sampleSandbox();
    expect(sandboxPod(sandbox, WITH_SNAPSHOTS, "k")).toEqual(sandboxPod(sandbox, SETTINGS, "k"));
  });
});
