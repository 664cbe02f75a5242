import { describe, expect, it } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Clock } from "#core/clock.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { silentLog } from "#core/log.ts";
import { RunningProbe } from "./running-probe.ts";

/** Sleeps are over at once; their lengths are kept. */
function rushedClock(): Clock & { readonly slept: number[] } {
  const slept: number[] = [];
  return {
    slept,
    now: () => 42,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      slept.push(ms);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function sandbox(uid: string, containers: readonly string[] = ["main"], metadata: object = {}): SandboxResource {
  return {
    metadata: { name: uid, uid, creationTimestamp: "2026-11-01T10:00:00Z", ...metadata },
    spec: {
      podTemplate: { spec: { containers: containers.map((name) => ({ name, image: "i" })) } },
      startupTimeoutSeconds: 9,
    },
  };
}

function pod(owner: string, podIP: string | undefined, rest: object = {}, metadata: object = {}): Pod {
  const ownerReferences = [{ apiVersion: "v1", kind: "Sandbox", name: owner, uid: owner }];
  const status = { ...(podIP === undefined ? {} : { podIP }), ...rest };
  return { metadata: { name: `${owner}-pod`, ownerReferences, ...metadata }, spec: { containers: [] }, status };
}

/** A probe over agents that answer so, and what it did. */
function probeOver(
  answer: (uid: string, ip: string, nth: number) => readonly string[] | Promise<readonly string[]>,
  rest: Partial<Clock> = {},
) {
  const asked: string[] = [];
  const up: string[] = [];
  let wake = Promise.withResolvers<void>();
  const clock = rushedClock();
  const probe = new RunningProbe({
    clock: { ...clock, ...rest },
    log: silentLog,
    random: () => 0,
    ask: async (uid, ip) => {
      asked.push(`${uid} ${ip}`);
      return answer(uid, ip, asked.length);
    },
    onUp: ({ metadata }) => {
      up.push(metadata.name);
      wake.resolve();
      wake = Promise.withResolvers();
    },
  });
  return { probe, asked, up, clock, nextUp: () => wake.promise };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe("RunningProbe", () => {
  it("asks from the moment the pod has an address until every container is there, ever less often", async () => {
    const { probe, asked, clock, nextUp } = probeOver((_, __, nth) => {
      if (nth === 1) throw new Error("refused");
      return nth < 4 ? ["main"] : ["main", "side"];
    });
    const box = sandbox("a", ["main", "side"]);
    probe.consider(box, undefined);
    probe.consider(box, pod("a", undefined));
    expect(asked).toEqual([]);
    const up = nextUp();
    probe.consider(box, pod("a", "10.0.0.1"));
    probe.consider(box, pod("a", "10.0.0.1"));
    await up;
    expect(asked).toEqual(["a 10.0.0.1", "a 10.0.0.1", "a 10.0.0.1", "a 10.0.0.1"]);
    expect(clock.slept).toEqual([30, 60, 120]);
    expect(probe.upSinceMs("a")).toBe(42);
  });

  it("asks at once when it is told to, and does not ask what it knows to be up", async () => {
    let isUp = false;
    const pause = Promise.withResolvers<void>();
    const { probe, asked, up } = probeOver(() => (isUp ? ["main"] : []), { sleep: () => pause.promise });
    const box = sandbox("a");
    await probe.askNow(box);
    probe.consider(box, pod("a", "10.0.0.1"));
    await turns();
    await probe.askNow(box);
    expect([asked.length, probe.upSinceMs("a")]).toEqual([2, undefined]);
    isUp = true;
    await Promise.all([probe.askNow(box), probe.askNow(box)]);
    expect([probe.upSinceMs("a"), up]).toEqual([42, ["a"]]);
    const asks = asked.length;
    await probe.askNow(box);
    pause.resolve();
    await turns();
    expect(asked).toHaveLength(asks);
    expect(up).toEqual(["a"]);
  });

  it("asks none that starts from a snapshot: whether that fits its image is the operator's to find out first", async () => {
    const { probe, asked } = probeOver(() => ["main"]);
    const { spec, ...rest } = sandbox("a");
    probe.consider(
      { ...rest, spec: { ...spec, rootfsSnapshotSources: [{ snapshotName: "kept" }] } },
      pod("a", "10.0.0.1"),
    );
    await turns();
    expect(asked).toEqual([]);
    probe.consider({ ...rest, spec: { ...spec, rootfsSnapshotSources: [] } }, pod("a", "10.0.0.1"));
    await turns();
    expect(asked).not.toEqual([]);
    probe.close();
  });

  describe("a sandbox whose object says which pod clients use", () => {
    const [used, other] = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"];
    const inUse = (uid: string) => sandbox("a", ["main"], { annotations: { [ANNOTATION.usedPod]: uid } });
    const silent = () => new Promise<readonly string[]>(() => undefined);

    it("is up with that pod, for a gateway that has never asked it", () => {
      const { probe, asked } = probeOver(silent);
      probe.consider(inUse(used), pod("a", "10.0.0.1", {}, { uid: used }));
      expect([probe.upSinceMs("a"), probe.upPodUid("a"), probe.upAddress("a")]).toEqual([42, used, "10.0.0.1"]);
      expect(asked).toEqual([]);
    });

    it.each([
      ["kubelet says", ["1970-01-01T00:00:00.010Z", "1970-01-01T00:00:00.020Z"], 20],
      ["it is now, where kubelet's clock is ahead", ["2026-11-01T10:00:00Z"], 42],
    ])("is up since %s", (_, starts, sinceMs) => {
      const { probe } = probeOver(silent);
      const containerStatuses = starts.map((startedAt) => ({ name: "main", state: { running: { startedAt } } }));
      probe.consider(inUse(used), pod("a", "10.0.0.1", { containerStatuses }, { uid: used }));
      expect(probe.upSinceMs("a")).toBe(sinceMs);
    });

    it("is up for a gateway that asks it while another one notes the pod", async () => {
      const { probe, asked } = probeOver(silent);
      probe.consider(sandbox("a"), pod("a", "10.0.0.1", {}, { uid: used }));
      await turns();
      expect([asked.length, probe.upSinceMs("a")]).toEqual([1, undefined]);
      probe.consider(inUse(used), pod("a", "10.0.0.1", {}, { uid: used }));
      expect(probe.upPodUid("a")).toBe(used);
    });

    it.each([
      ["has no such pod", undefined],
      ["has another pod in its place", pod("a", "10.0.0.1", {}, { uid: other })],
      ["has that pod without an address", pod("a", undefined, {}, { uid: used })],
      ["has that pod, which has ended", pod("a", "10.0.0.1", { phase: "Failed" }, { uid: used })],
      ["has that pod, which is being removed", pod("a", "10.0.0.1", {}, { uid: used, deletionTimestamp: "now" })],
      ["finds a pod of that uid that is another sandbox's", pod("b", "10.0.0.1", {}, { uid: used })],
    ])("is not up where it %s", async (_, found) => {
      const { probe, asked } = probeOver(() => ["main"]);
      probe.consider(inUse(used), found);
      await turns();
      expect([probe.upSinceMs("a"), probe.upPodUid("a"), asked]).toEqual([undefined, undefined, []]);
    });

    it("is the operator's to tell of where it starts from a snapshot", () => {
      const { probe } = probeOver(silent);
      const { spec, ...rest } = inUse(used);
      const restored = { ...rest, spec: { ...spec, rootfsSnapshotSources: [{ snapshotName: "kept" }] } };
      probe.consider(restored, pod("a", "10.0.0.1", {}, { uid: used }));
      expect(probe.upSinceMs("a")).toBeUndefined();
    });
  });

  it("does not wait for containers that have ended already", async () => {
    const { probe, nextUp } = probeOver(() => ["main"]);
    const up = nextUp();
    const ended = [{ name: "side", state: { terminated: { exitCode: 0 } } }];
    probe.consider(sandbox("a", ["main", "side"]), pod("a", "10.0.0.1", { containerStatuses: ended }));
    await up;
    expect(probe.upSinceMs("a")).toBe(42);
  });

  it("knows of a container that ends while it asks", async () => {
    const { probe, asked, nextUp } = probeOver(() => ["main"]);
    const up = nextUp();
    probe.consider(sandbox("a", ["main", "side"]), pod("a", "10.0.0.1"));
    await turns();
    expect(asked).not.toEqual([]);
    const ended = [{ name: "side", state: { terminated: { exitCode: 0 } } }];
    probe.consider(sandbox("a", ["main", "side"]), pod("a", "10.0.0.1", { containerStatuses: ended }));
    await up;
    expect(probe.upSinceMs("a")).toBe(42);
  });

  it("stops asking when the operator has said that the sandbox runs", async () => {
    const { probe, asked } = probeOver(() => []);
    probe.consider(sandbox("a"), pod("a", "10.0.0.1"));
    await turns();
    expect(asked).not.toEqual([]);
    const ready = { type: "Ready", status: "True", reason: "PodRunning", message: "", lastTransitionTime: "" } as const;
    probe.consider({ ...sandbox("a"), status: { conditions: [ready] } }, pod("a", "10.0.0.1"));
    await turns();
    const asks = asked.length;
    await turns();
    expect(asked).toHaveLength(asks);
  });

  it.each([
    { what: "has ended", seen: pod("a", "10.0.0.1", { phase: "Failed" }) },
    { what: "is being removed", seen: pod("a", "10.0.0.1", {}, { deletionTimestamp: "2026-11-01T10:00:00Z" }) },
    { what: "is gone", seen: undefined },
    { what: "is told without its address", seen: pod("a", undefined) },
  ])("does not take back that a sandbox was up when its pod $what", async ({ seen }) => {
    const { probe, asked, nextUp } = probeOver(() => ["main"]);
    const up = nextUp();
    probe.consider(sandbox("a"), pod("a", "10.0.0.1"));
    await up;
    expect(probe.upAddress("a")).toBe("10.0.0.1");
    probe.consider(sandbox("a"), seen);
    await turns();
    expect(probe.upSinceMs("a")).toBe(42);
    expect(probe.upAddress("a")).toBe("10.0.0.1");
    expect(asked).toHaveLength(1);
  });

  it("asks anew when the sandbox has another pod, though it is at the same address", async () => {
    let isUp = true;
    const { probe, asked, nextUp } = probeOver(() => (isUp ? ["main"] : []));
    const up = nextUp();
    probe.consider(sandbox("a"), pod("a", "10.0.0.1", {}, { uid: "p1" }));
    await up;
    isUp = false;
    probe.consider(sandbox("a"), pod("a", "10.0.0.1", {}, { uid: "p2" }));
    expect(probe.upSinceMs("a")).toBeUndefined();
    await turns();
    expect(asked.length).toBeGreaterThan(1);
    probe.close();
  });

  it.each([
    { what: "never began", containers: ["main"], found: [], terminated: { exitCode: 128, reason: "StartError" } },
    { what: "has ended", containers: ["main"], found: [], terminated: { exitCode: 0 } },
    { what: "has failed beside another", containers: ["main", "side"], found: ["side"], terminated: { exitCode: 3 } },
  ])("leaves it to the operator to tell of a container that $what", async ({ containers, found, terminated }) => {
    const { probe, asked, up } = probeOver(() => found);
    const ended = [{ name: "main", state: { terminated } }];
    probe.consider(sandbox("a", containers), pod("a", "10.0.0.1", { containerStatuses: ended }));
    await turns();
    expect(asked).not.toEqual([]);
    expect(up).toEqual([]);
  });

  it.each([
    { what: "another sandbox's pod", seen: pod("b", "10.0.0.1") },
    { what: "a pod that goes", seen: pod("a", "10.0.0.1", {}, { deletionTimestamp: "2026-11-01T10:00:00Z" }) },
    { what: "a pod that has failed", seen: pod("a", "10.0.0.1", { phase: "Failed" }) },
  ])("does not ask $what", async ({ seen }) => {
    const { probe, asked } = probeOver(() => ["main"]);
    probe.consider(sandbox("a"), seen);
    await turns();
    expect(asked).toEqual([]);
  });

  it("does not ask for a sandbox that is not Pending", async () => {
    const { probe, asked } = probeOver(() => ["main"]);
    probe.consider(sandbox("a", ["main"], { deletionTimestamp: "2026-11-01T10:00:00Z" }), pod("a", "10.0.0.1"));
    await turns();
    expect(asked).toEqual([]);
  });

  it("forgets what it knew when the pod has another address, and stops asking when it goes", async () => {
    let isUp = true;
    const { probe, asked, nextUp } = probeOver(() => (isUp ? ["main"] : []));
    const up = nextUp();
    probe.consider(sandbox("a"), pod("a", "10.0.0.1"));
    await up;
    isUp = false;
    probe.consider(sandbox("a"), pod("a", "10.0.0.2"));
    expect(probe.upSinceMs("a")).toBeUndefined();
    await turns();
    expect(asked.at(-1)).toBe("a 10.0.0.2");
    probe.consider(sandbox("a"), undefined);
    await turns();
    const asks = asked.length;
    await turns();
    expect(asked).toHaveLength(asks);
  });

  it("asks a bounded number of agents at the same time", async () => {
    let now = 0;
    let most = 0;
    const gate = Promise.withResolvers<void>();
    const { probe, up } = probeOver(async () => {
      most = Math.max(most, (now += 1));
      await gate.promise;
      now -= 1;
      return ["main"];
    });
    for (let i = 0; i < 200; i += 1) probe.consider(sandbox(`s${i}`), pod(`s${i}`, `10.0.0.${i}`));
    await turns();
    expect(most).toBe(64);
    gate.resolve();
    await expect.poll(() => up.length).toBe(200);
    expect(most).toBe(64);
  });
});
