import { describe, expect, it } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { silentLog } from "#core/log.ts";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { FreshLook } from "./fresh-look.ts";

const box = {
  metadata: { name: "box", namespace: "boxes", uid: "box-1" },
  spec: { podTemplate: { spec: { containers: [{ name: "main", image: "i" }] } }, startupTimeoutSeconds: 9 },
} as SandboxResource;
const ready = { type: "Ready", status: "True", reason: "PodRunning", message: "", lastTransitionTime: "" } as const;
const pod = { metadata: { name: "box-pod", namespace: "boxes" }, spec: { containers: [] } } as Pod;

/** A look over a cluster that answers reads so; what it did, in its order. */
function lookOver(read: (plural: string, signal: AbortSignal) => Promise<SandboxResource | Pod>) {
  const done: string[] = [];
  const clock = createManualClock();
  const look = new FreshLook({
    client: { get: ({ plural }, _, { signal }) => read(plural, signal) } as Pick<KubeClient, "get">,
    sandboxes: {
      get: () => box,
      upsert: () => void done.push("sandbox"),
      drop: (key, uid) => void done.push(`drop ${key} ${uid}`),
    },
    pods: { upsert: () => void done.push("pod") },
    probe: { askNow: async () => void done.push("ask") },
    namespace: "boxes",
    clock,
    log: silentLog,
  });
  return { look, done, clock };
}

const absent = (): Promise<never> => Promise.reject(new KubeError(404, "There is none"));

describe("FreshLook", () => {
  it.each<{ what: string; sandbox: () => Promise<SandboxResource>; pod: () => Promise<Pod>; does: string[] }>([
    { what: "pending", sandbox: async () => box, pod: async () => pod, does: ["sandbox", "pod", "ask"] },
    { what: "without a pod", sandbox: async () => box, pod: absent, does: ["sandbox", "ask"] },
    {
      what: "running",
      sandbox: async () => ({ ...box, status: { conditions: [ready] } }),
      pod: async () => pod,
      does: ["sandbox", "pod"],
    },
    { what: "removed", sandbox: absent, pod: absent, does: ["drop boxes/box box-1"] },
    { what: "unknown, as nobody answers", sandbox: () => Promise.reject(new Error("away")), pod: absent, does: [] },
  ])(
    "tells the copies of a sandbox that is $what, and asks only one that may be up",
    async ({ sandbox, pod, does }) => {
      const { look, done } = lookOver((plural) => (plural === "pods" ? pod() : sandbox()));
      await look.at("box");
      expect(done).toEqual(does);
    },
  );

  it("serves all who ask before it begins, and those who come later by another", async () => {
    const reads: Array<PromiseWithResolvers<SandboxResource>> = [];
    const { look } = lookOver((plural) => {
      if (plural === "pods") return Promise.resolve(pod);
      const reading = Promise.withResolvers<SandboxResource>();
      reads.push(reading);
      return reading.promise;
    });
    const first = look.at("box");
    const later = [look.at("box"), look.at("box")];
    expect(reads).toHaveLength(1);
    reads[0]?.resolve(box);
    await first;
    await expect.poll(() => reads.length).toBe(2);
    reads[1]?.resolve(box);
    await Promise.all(later);
    const last = look.at("box");
    expect(reads).toHaveLength(3);
    reads[2]?.resolve(box);
    await last;
  });

  it("ends when it takes too long", async () => {
    const { look, done, clock } = lookOver(
      (_, signal) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );
    const looking = look.at("box");
    await clock.advance(5000);
    await looking;
    expect(done).toEqual([]);
  });
});
