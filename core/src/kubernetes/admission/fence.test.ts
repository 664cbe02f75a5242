import { describe, expect, it } from "vitest";
import { RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import { SandboxStatusResource } from "#api/crd/sandbox.ts";
import { fences, fenceNames, mounterFenceName, nodeFenceName, trialFenceNames } from "./fence.ts";
import { serviceAccountUser, type FenceConfig } from "./fence-config.ts";

const CONFIG: FenceConfig = {
  sandboxNamespaces: ["sandboxes", "more-sandboxes"],
  operatorUser: serviceAccountUser("system", "operator"),
  runtimeClass: "gvisor",
  capabilities: { container: ["CAP_CHOWN"], marks: ["CAP_WAKE_ALARM"], agent: ["CAP_CHOWN", "CAP_SYS_PTRACE"] },
};

const RESTORES = { folder: "/restores", port: 10_033 };

describe("fences()", () => {
  it("deny in every sandbox namespace, and when they cannot be evaluated", () => {
    const list = fences(CONFIG);
    expect(list.map(({ policy }) => policy.metadata.name)).toEqual(Object.values(fenceNames()));
    for (const { policy, binding } of list) {
      expect(policy.spec.failurePolicy).toBe("Fail");
      expect(policy.spec.matchConstraints.resourceRules.map(({ operations }) => operations)).toEqual([
        ["CREATE", "UPDATE"],
      ]);
      expect(binding.spec).toMatchObject({ policyName: policy.metadata.name, validationActions: ["Deny"] });
      expect(binding.spec.matchResources?.namespaceSelector?.matchExpressions).toEqual([
        { key: "kubernetes.io/metadata.name", operator: "In", values: ["sandboxes", "more-sandboxes"] },
      ]);
    }
  });

  it("watch every way to write a pod", () => {
    const resources = fences(CONFIG).map(({ policy }) => policy.spec.matchConstraints.resourceRules[0]?.resources);
    expect(resources).toEqual([
      ["pods", "pods/ephemeralcontainers", "pods/resize"],
      ["pods", "pods/status", "pods/ephemeralcontainers", "pods/resize"],
      ["sandboxes"],
    ]);
  });

  it("say what is wrong in each refusal", () => {
    for (const { message, messageExpression, reason } of fences(CONFIG).flatMap(
      ({ policy }) => policy.spec.validations,
    )) {
      expect(message ?? messageExpression).toMatch(/ /);
      expect(reason).toMatch(/^(Forbidden|Invalid)$/);
    }
  });

  it("allow no archive where snapshots are off", () => {
    const rules = (config: FenceConfig) => fences(config).flatMap(({ policy }) => policy.spec.validations);
    const off = rules(CONFIG).find(({ message }) => message?.includes("snapshots are off"));
    expect(off?.expression).toBe(
      '!(variables.annotations.exists(key, key.startsWith("dev.gvisor.tar.rootfs.upper.") && !(key in variables.oldAnnotations && variables.oldAnnotations[key] == variables.annotations[key])))',
    );
    const on = rules({ ...CONFIG, restores: RESTORES });
    expect(on.some(({ message }) => message?.includes("snapshots are off"))).toBe(false);
    expect(on.map(({ expression }) => expression).find((text) => text.includes("one.name"))).toContain(
      'variables.annotations[key] == "/restores/" + request.namespace + "/" + owner.uid + "/" + one.name + ".tar"',
    );
  });

  it("have nobody ask a node for anything where snapshots are off, and its mounter for two things where they are on", () => {
    const hosts = (config: FenceConfig): string[] =>
      fences(config).flatMap(({ policy }) =>
        policy.spec.validations.map(({ expression }) => expression).filter((text) => text.includes("tcpSocket")),
      );
    for (const text of hosts(CONFIG)) expect(text).not.toContain("127.0.0.1");
    const on = hosts({ ...CONFIG, restores: RESTORES });
    expect(on).toHaveLength(hosts(CONFIG).length);
    for (const text of on) {
      for (const path of ["restores", "stops"])
        expect(text.split(`"/v1/${path}/" + request.namespace + "/" + owner.uid`)).toHaveLength(2);
      expect(text.split('== "127.0.0.1"')).toHaveLength(3);
      expect(text.split("== 10033")).toHaveLength(3);
    }
  });

  it("keep what is configured from being read as an expression", () => {
    const operatorUser = `x" || true || "`;
    const expressions = fences({ ...CONFIG, operatorUser }).flatMap(({ policy }) => policy.spec.variables ?? []);
    expect(expressions).toContainEqual({
      name: "operator",
      expression: String.raw`request.userInfo.username == "x\" || true || \""`,
    });
  });

  it("hold the operator alone to its trial, and only where it makes it", () => {
    const networkTrial = { namespace: "system", imageRepository: "agent", commands: { server: ["s"], client: ["c"] } };
    const added = fences({ ...CONFIG, networkTrial }).slice(fences(CONFIG).length);
    expect(added.map(({ policy }) => policy.metadata.name)).toEqual(Object.values(trialFenceNames()));
    for (const { policy, binding } of added) {
      expect(policy.spec.failurePolicy).toBe("Fail");
      expect(policy.spec.matchConditions?.map(({ expression }) => expression)).toEqual([
        `request.userInfo.username == "system:serviceaccount:system:operator"`,
      ]);
      expect(binding.spec).toMatchObject({ policyName: policy.metadata.name, validationActions: ["Deny"] });
      expect(binding.spec.matchResources?.namespaceSelector?.matchExpressions).toEqual([
        { key: "kubernetes.io/metadata.name", operator: "In", values: ["system"] },
      ]);
    }
  });

  it("hold the installer to its own node, in the whole cluster", () => {
    const installerUser = serviceAccountUser("system", "installer");
    const [added, ...others] = fences({ ...CONFIG, installerUser }).slice(fences(CONFIG).length);
    expect(others).toEqual([]);
    expect(added?.policy.metadata.name).toBe(nodeFenceName());
    expect(added?.policy.spec.failurePolicy).toBe("Fail");
    expect(added?.policy.spec.matchConditions?.map(({ expression }) => expression)).toEqual([
      `request.userInfo.username == "system:serviceaccount:system:installer"`,
    ]);
    expect(added?.binding.spec).toEqual({ policyName: nodeFenceName(), validationActions: ["Deny"] });
  });

  it("hold the mounters to what they tell, in the whole cluster", () => {
    const mounterUser = serviceAccountUser("system", "mounter");
    const [added, ...others] = fences({ ...CONFIG, mounterUser }).slice(fences(CONFIG).length);
    expect(others).toEqual([]);
    expect(added?.policy.metadata.name).toBe(mounterFenceName());
    expect(added?.policy.spec.failurePolicy).toBe("Fail");
    expect(added?.policy.spec.matchConditions?.map(({ expression }) => expression)).toEqual([
      `request.userInfo.username == "system:serviceaccount:system:mounter"`,
    ]);
    expect(added?.policy.spec.matchConstraints.resourceRules.flatMap(({ resources }) => resources)).toEqual([
      "rootfssnapshots",
      "rootfssnapshots/status",
      "sandboxes",
      "sandboxes/status",
      "leases",
    ]);
    expect(added?.binding.spec).toEqual({ policyName: mounterFenceName(), validationActions: ["Deny"] });
  });

  it("have a mounter change only what the definitions say is its own, and nothing that is added to them later", () => {
    const mounterUser = serviceAccountUser("system", "mounter");
    const rules = fences({ ...CONFIG, mounterUser }).flatMap(({ policy }) => policy.spec.validations);
    const free = (whose: string, { shape }: { readonly shape: object }): string[] => {
      const rule = rules.find(({ message }) => message?.startsWith(`a mounter writes of a ${whose}'s status only`));
      const isHeld = (member: string): boolean =>
        (rule?.expression ?? "").includes(`object.?status.?${member} != oldObject.?status.?${member}`);
      return Object.keys(shape).filter((member) => !isHeld(member));
    };
    const own = [
      "bytes",
      "completionTime",
      "conditions",
      "progress",
      "publishBy",
      "settle",
      "snapshotKey",
      "warnings",
      "writeId",
    ];
    expect(free("snapshot", RootfsSnapshotStatusResource).toSorted()).toEqual(own);
    expect(free("sandbox", SandboxStatusResource)).toEqual(["rootfsRestores"]);
  });

  it("have names of their own for each installation", () =>
    expect(fences({ ...CONFIG, prefix: "other" }).map(({ binding }) => binding.metadata.name)).toEqual([
      "other-sandbox-pods",
      "other-sandbox-identity",
      "other-sandbox-templates",
    ]));
});
