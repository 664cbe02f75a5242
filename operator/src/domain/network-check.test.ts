import { describe, expect, it } from "vitest";
import { exited, running } from "../../test/samples.ts";
import { trialClient, trialPolicy, trialServer, trialVerdict } from "./network-check.ts";

const TRIAL = { namespace: "system", image: "registry/agent:1", imagePullSecrets: ["pull"] };

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
