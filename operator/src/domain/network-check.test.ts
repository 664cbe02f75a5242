import { describe, expect, it } from "vitest";
import type { LabelSelector } from "#core/kubernetes/network-policy.ts";
import { exited, running } from "../../test/samples.ts";
import { othersSay, trialClient, trialPolicy, trialServer, trialVerdict, type NetworkTrial } from "./network-check.ts";

const TRIAL: NetworkTrial = {
  namespace: "system",
  image: "registry/agent:1",
  imagePullPolicy: "Never",
  imagePullSecrets: ["pull"],
};

describe("trialVerdict()", () => {
  const verdict = (...containerStatuses: Parameters<typeof ended>) => trialVerdict(ended(...containerStatuses));
  const ended = (status: object) => ({ ...trialClient(TRIAL, "10.0.0.1"), status });

  it.each([
    { status: { containerStatuses: [exited("check", 0)] }, is: "enforced" },
    { status: { containerStatuses: [exited("check", 3)] }, is: "not-enforced" },
    { status: { containerStatuses: [exited("check", 4)] }, is: "unknown" },
    { status: { containerStatuses: [exited("check", 137)] }, is: "unknown" },
    { status: { phase: "Failed", reason: "DeadlineExceeded" }, is: "unknown" },
    { status: { containerStatuses: [running("check")] }, is: undefined },
    { status: {}, is: undefined },
  ])("takes $status as $is", ({ status, is }) => {
    expect(verdict(status)).toBe(is);
  });
});

describe("a trial's objects", () => {
  it("end by themselves, and may do nothing but connect", () => {
    for (const { metadata, spec } of [trialServer(TRIAL), trialClient(TRIAL, "10.0.0.1")]) {
      expect(metadata.namespace).toBe("system");
      expect(spec).toMatchObject({ restartPolicy: "Never", automountServiceAccountToken: false });
      expect(spec.activeDeadlineSeconds).toBeGreaterThan(0);
      expect(spec.imagePullSecrets).toEqual([{ name: "pull" }]);
      expect(spec.containers[0]?.imagePullPolicy).toBe("Never");
      expect(spec.containers[0]?.securityContext).toMatchObject({
        runAsNonRoot: true,
        capabilities: { drop: ["ALL"] },
      });
    }
  });

  it("meet at the server, which the policy selects alone", () => {
    const { spec } = trialPolicy(TRIAL);
    expect(trialServer(TRIAL).metadata.labels).toMatchObject(spec.podSelector.matchLabels ?? {});
    expect(trialClient(TRIAL, "10.0.0.1").metadata.labels).not.toMatchObject(spec.podSelector.matchLabels ?? {});
  });
});

describe("othersSay()", () => {
  const policy = (name: string, podSelector: LabelSelector) => ({
    ...trialPolicy(TRIAL),
    metadata: { name },
    spec: { ...trialPolicy(TRIAL).spec, podSelector },
  });
  const key = "atoll.run/network-check";

  it.each<[string, LabelSelector, boolean]>([
    ["every pod", {}, true],
    ["the server", { matchLabels: { [key]: "server" } }, true],
    ["the client alone", { matchLabels: { [key]: "client" } }, false],
    ["another program", { matchLabels: { "app.kubernetes.io/name": "atoll-gateway" } }, false],
    ["what has the label", { matchExpressions: [{ key, operator: "Exists" }] }, true],
    ["what has it not", { matchExpressions: [{ key, operator: "DoesNotExist" }] }, false],
    ["what is not another program", { matchExpressions: [{ key: "app", operator: "NotIn", values: ["a"] }] }, true],
    ["what is no server", { matchExpressions: [{ key, operator: "NotIn", values: ["server"] }] }, false],
    ["servers and clients", { matchExpressions: [{ key, operator: "In", values: ["server", "client"] }] }, true],
    ["some program", { matchExpressions: [{ key: "app", operator: "In", values: ["a"] }] }, false],
  ])("of a policy for %s", (_, selector, isNamed) => {
    expect(othersSay([policy("other", selector)])).toEqual(isNamed ? ["other"] : []);
  });

  it("leaves the trial's own out", () => expect(othersSay([trialPolicy(TRIAL)])).toEqual([]));
});
