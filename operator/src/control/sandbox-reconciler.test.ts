import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SandboxResource, SandboxSpecResource } from "#api/crd/sandbox.ts";
import { ANNOTATION, SANDBOX_FINALIZER } from "#core/kubernetes/names.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { NETWORK_POLICIES, PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { conditionOf } from "#core/kubernetes/sandbox-state.ts";
import { usedPodUid } from "#core/kubernetes/used-pod.ts";
import { KINDS, ModelCluster, type Fate } from "../../test/model-cluster.ts";
import { ModelOperator } from "../../test/model-operator.ts";
import { exited, runningStatus, sampleSandbox, SETTINGS, waiting } from "../../test/samples.ts";

const KEY = "ns/a";
const REF = { namespace: "ns", name: "a" };
const POD = { namespace: "ns", name: "a-pod" };
const OTHERS = "example.com/hold";
const DAY_MS = 86_400_000;

/** What kubelet may come to report of a pod; an end is never taken back. */
const KUBELET: Record<string, Pod["status"]> = {
  taken: {
    phase: "Pending",
    startTime: "2026-01-01T00:00:01Z",
    containerStatuses: [waiting("main", "ContainerCreating")],
  },
  running: runningStatus(),
  noImage: { phase: "Pending", containerStatuses: [waiting("main", "ErrImagePull", "registry/img:1: not found")] },
  succeeded: runningStatus(exited("main", 0)),
  failed: runningStatus(exited("main", 3)),
  noMemory: runningStatus(exited("main", 128, { reason: "OOMKilled" })),
};

/** A cluster with one sandbox, its operator, and what must hold whatever happens to them. */
class World {
  readonly cluster = new ModelCluster();
  operator: ModelOperator;
  /** Waits to lead, with caches that nobody tells anything until it does. */
  standby: ModelOperator;
  readonly broken: string[] = [];
  #end: string | undefined;
  #wasReady = false;
  #others = false;
  #isReleasing = false;
  /** The pod that a gateway's copy shows, and the one in which a client then did something. */
  #shown: Pod | undefined;
  #used: string | undefined;

  readonly #sandbox: SandboxResource;

  constructor(spec: Partial<SandboxSpecResource>, { byGateway }: { readonly byGateway: boolean }) {
    const finalizers = byGateway ? [SANDBOX_FINALIZER] : [];
    const annotations = byGateway ? { [ANNOTATION.provisional]: "true" } : {};
    this.#sandbox = sampleSandbox(spec, { metadata: { finalizers, annotations } });
    this.create();
    this.operator = new ModelOperator(this.cluster, SETTINGS);
    this.standby = new ModelOperator(this.cluster, SETTINGS);
    this.cluster.onEvent = (kind, event) => {
      if (event.kind === "bookmark") return;
      if (kind === SANDBOXES.plural) this.#checkSandbox(event.kind, event.object as SandboxResource);
      if (kind === PODS.plural && event.kind === "added") this.#checkNewPod(event.object as Pod);
    };
  }

  /** Unless one of the name is there. */
  create(): void {
    if (this.cluster.find(SANDBOXES, REF) === undefined) this.cluster.insert(SANDBOXES.plural, this.#sandbox);
  }

  #checkSandbox(change: string, { status, metadata }: SandboxResource): void {
    if (change === "added") {
      this.#end = undefined;
      this.#wasReady = false;
      this.#used = undefined;
    }
    const finalizers = metadata.finalizers ?? [];
    if (this.#others && !this.#isReleasing && change !== "added" && !finalizers.includes(OTHERS))
      this.broken.push("another's finalizer is gone");
    this.#others = change !== "deleted" && finalizers.includes(OTHERS);
    if (conditionOf(status, "Ready")?.status === "True") this.#wasReady = true;
    const end = conditionOf(status, "Succeeded");
    const text = end === undefined ? undefined : JSON.stringify([end, conditionOf(status, "Cause")]);
    if (this.#end !== undefined && text !== this.#end) this.broken.push(`the end changed from ${this.#end} to ${text}`);
    this.#end = text;
    const pod = this.cluster.find(PODS, POD);
    const isOwn = pod?.metadata.ownerReferences?.some(({ uid }) => uid === metadata.uid) ?? false;
    if (change === "deleted" && isOwn) this.broken.push("the object went before its pod");
  }

  #checkNewPod({ metadata }: Pod): void {
    const sandbox = this.cluster.find(SANDBOXES, REF);
    const owner = metadata.ownerReferences?.[0]?.uid;
    if (owner === undefined || owner !== sandbox?.metadata.uid) this.broken.push("a pod without its owner was made");
    if (this.#wasReady) this.broken.push("a second pod was made");
    if (this.#used !== undefined) this.broken.push("a second pod was made though clients had used the first");
    if (this.#end !== undefined) this.broken.push("a pod was made after the end");
  }

  /** A gateway finds the pod up. */
  show(): void {
    this.#shown = this.cluster.find(PODS, POD);
  }

  /** The gateway answers the creator, and notes the pod that it found up. */
  confirm(): void {
    this.#note((annotations) => {
      const { [ANNOTATION.provisional]: _, ...others } = annotations;
      return others;
    });
  }

  /** A client does something in the sandbox, in the pod that was found up, and nowhere else. */
  use(): void {
    this.#note((annotations) => annotations);
    const pod = this.cluster.find<Pod>(PODS, POD);
    const sandbox = this.cluster.find(SANDBOXES, REF);
    if (sandbox !== undefined && pod?.metadata.uid === usedPodUid(sandbox)) this.#used = pod?.metadata.uid;
  }

  #note(change: (annotations: Readonly<Record<string, string>>) => Readonly<Record<string, string>>): void {
    this.cluster.change(SANDBOXES.plural, REF, (object) => {
      const { annotations = {}, uid } = object.metadata;
      const isOwn = this.#shown?.metadata.ownerReferences?.some((owner) => owner.uid === uid) ?? false;
      const noted = isOwn ? { [ANNOTATION.usedPod]: this.#shown?.metadata.uid ?? "" } : {};
      return { ...object, metadata: { ...object.metadata, annotations: { ...noted, ...change(annotations) } } };
    });
  }

  /** Everybody does their work until nothing is left to do; the number of writes that took. */
  async settle(): Promise<number> {
    this.cluster.fates = [];
    const before = this.cluster.writes;
    for (let round = 0; round < 30; round += 1) {
      const { version } = this.cluster;
      for (const kind of KINDS) this.operator.hear(kind);
      await this.operator.reconcile(KEY);
      this.cluster.finishRemoval(POD);
      this.cluster.collectGarbage();
      for (const kind of KINDS) this.operator.hear(kind);
      if (this.cluster.version === version) break;
    }
    return this.cluster.writes - before;
  }

  /** Somebody else's finalizer comes, or goes. */
  hold(isHeld: boolean): void {
    this.#isReleasing = !isHeld;
    this.cluster.change(SANDBOXES.plural, REF, (object) => {
      const { deletionTimestamp, finalizers = [] } = object.metadata;
      if (isHeld && (deletionTimestamp !== undefined || finalizers.includes(OTHERS))) return object;
      const others = isHeld ? [...finalizers, OTHERS] : finalizers.filter((name) => name !== OTHERS);
      return { ...object, metadata: { ...object.metadata, finalizers: others } };
    });
    this.#isReleasing = false;
  }

  get left(): number {
    return KINDS.reduce((sum, kind) => sum + this.cluster.all({ plural: kind }).length, 0);
  }
}

type Step =
  | { readonly kind: "reconcile"; readonly fates: readonly Fate[] }
  | { readonly kind: "hear"; readonly of: (typeof KINDS)[number]; readonly most: number }
  | {
      readonly kind:
        | "restart"
        | "garbage"
        | "finish"
        | "userDeletes"
        | "userCreates"
        | "hold"
        | "confirm"
        | "show"
        | "use"
        | "takeOver"
        | "policyGoes";
    }
  | { readonly kind: "podGoes"; readonly force: boolean }
  | { readonly kind: "kubelet"; readonly says: keyof typeof KUBELET }
  | { readonly kind: "time"; readonly ms: number };

const fates = fc.array(fc.constantFrom<Fate>("done", "lost", "unsent"), { maxLength: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("reconcile" as const), fates }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("hear" as const),
      of: fc.constantFrom(...KINDS),
      most: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("kubelet" as const), says: fc.constantFrom(...Object.keys(KUBELET)) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.constantFrom(1000, 20_000, 95_000, 400_000) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("podGoes" as const), force: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "restart",
        "restart",
        "garbage",
        "finish",
        "finish",
        "userDeletes",
        "userCreates",
        "hold",
        "confirm",
        "show",
        "show",
        "use",
        "use",
        "takeOver",
        "policyGoes",
      ),
    }),
  },
);

async function perform(world: World, step: Step): Promise<void> {
  const { cluster } = world;
  switch (step.kind) {
    case "reconcile":
      cluster.fates = [...step.fates];
      await world.operator.reconcile(KEY);
      cluster.fates = [];
      return;
    case "hear":
      return world.operator.hear(step.of, step.most);
    case "restart":
      world.operator = new ModelOperator(cluster, SETTINGS);
      return;
    case "garbage":
      return cluster.collectGarbage();
    case "finish":
      return cluster.finishRemoval(POD);
    case "userDeletes":
      cluster.remove(SANDBOXES.plural, REF);
      return;
    case "userCreates":
      return world.create();
    case "hold":
      return world.hold(true);
    case "confirm":
      return world.confirm();
    case "show":
      return world.show();
    case "use":
      return world.use();
    case "takeOver":
      world.operator = world.standby.lead();
      world.standby = new ModelOperator(cluster, SETTINGS);
      return;
    case "policyGoes":
      cluster.remove(NETWORK_POLICIES.plural, { namespace: "ns", name: "a-custom-netpol" });
      return;
    case "podGoes":
      cluster.remove(PODS.plural, POD, { force: step.force });
      return;
    case "kubelet":
      return reportPod(world, step.says);
    case "time":
      cluster.nowMs += step.ms;
  }
}

/** Kubelet reports nothing new of a pod whose containers have ended, as none starts again. */
function reportPod({ cluster }: World, says: string): void {
  cluster.change(PODS.plural, POD, (object) => {
    const { containerStatuses = [] } = (object as Pod).status ?? {};
    const hasEnded = containerStatuses.some(({ state }) => state?.terminated !== undefined);
    return hasEnded ? object : { ...object, status: KUBELET[says] };
  });
}

const specs = fc.record(
  {
    timeoutSeconds: fc.constantFrom(5, 60),
    network: fc.constantFrom({ allowedEgressCIDRs: ["1.0.0.0/8"] }, { allowedEgressCIDRs: ["10.0.0.0/8"] }, {}),
    terminationPolicy: fc.constant({ type: "SnapshotRootfs" as const, snapshotRootfs: { timeoutSeconds: 300 } }),
  },
  { requiredKeys: [] },
);

describe("the sandbox reconciler", () => {
  it("converges from any interleaving of crashes, stale caches, lost answers and others' deletions", async () => {
    await fc.assert(
      fc.asyncProperty(
        specs,
        fc.boolean(),
        fc.array(step, { maxLength: 50, size: "max" }),
        async (spec, byGateway, steps) => {
          const world = new World(spec, { byGateway });
          for (const next of steps) await perform(world, next);
          await world.settle();
          expect(await world.settle()).toBe(0);
          world.cluster.remove(SANDBOXES.plural, REF);
          await world.settle();
          world.hold(false);
          await world.settle();
          expect([world.left, world.broken]).toEqual([0, []]);
        },
      ),
      { numRuns: 600 },
    );
  });

  it("removes everything by itself once the sandbox has ended and its record has been kept", async () => {
    await fc.assert(
      fc.asyncProperty(specs, fc.array(step, { maxLength: 20, size: "max" }), async (spec, steps) => {
        const world = new World(spec, { byGateway: true });
        for (const next of steps) await perform(world, next);
        await world.settle();
        reportPod(world, "failed");
        world.hold(false);
        for (const ms of [100_000, 2 * DAY_MS, 1000]) {
          await world.settle();
          world.cluster.nowMs += ms;
        }
        await world.settle();
        expect([world.left, world.broken]).toEqual([0, []]);
      }),
      { numRuns: 200 },
    );
  });

  it("writes five times in a life that goes well, beside the creator's three", async () => {
    const world = new World({ timeoutSeconds: 60 }, { byGateway: true });
    await perform(world, { kind: "confirm" });
    await world.settle();
    reportPod(world, "taken");
    await world.settle();
    reportPod(world, "running");
    await world.settle();
    expect(world.cluster.writes).toBe(2);
    world.cluster.remove(SANDBOXES.plural, REF);
    await world.settle();
    expect([world.cluster.writes, world.left]).toEqual([5, 0]);
  });

  it.each(["restart", "takeOver"] as const)(
    "makes no second pod when the one that clients used is gone before any status tells of it: %s",
    async (kind) => {
      const world = new World({}, { byGateway: true });
      await perform(world, { kind: "reconcile", fates: ["done"] });
      for (const next of ["show", "confirm", "use"] as const) await perform(world, { kind: next });
      await perform(world, { kind: "podGoes", force: true });
      await perform(world, { kind });
      await world.operator.reconcile(KEY);
      await world.settle();
      const { status } = world.cluster.find(SANDBOXES, REF) ?? {};
      expect(conditionOf(status, "Cause")?.reason).toBe("SandboxLost");
      expect([world.cluster.all(PODS), world.broken]).toEqual([[], []]);
    },
  );

  it("does not take a pod for a second one that its cache has not shown, nor let a second one be", async () => {
    const world = new World({}, { byGateway: true });
    await perform(world, { kind: "reconcile", fates: ["done"] });
    world.show();
    world.use();
    world.operator = world.standby.lead();
    world.operator.hear(SANDBOXES.plural);
    await world.operator.reconcile(KEY);
    expect(conditionOf(world.cluster.find(SANDBOXES, REF)?.status, "Succeeded")).toBeUndefined();
    const [pod] = world.cluster.all(PODS);
    world.cluster.remove(PODS.plural, POD, { force: true });
    const second = { ...pod, metadata: { ...POD, ownerReferences: pod?.metadata.ownerReferences ?? [] } };
    world.cluster.insert(PODS.plural, second);
    world.broken.length = 0;
    await world.settle();
    expect(conditionOf(world.cluster.find(SANDBOXES, REF)?.status, "Cause")?.reason).toBe("SandboxLost");
    expect(world.cluster.all(PODS)).toEqual([]);
  });

  it("lets a pod of another owner be, and takes the name when it is free", async () => {
    const world = new World({}, { byGateway: false });
    world.cluster.insert(PODS.plural, { metadata: { ...POD, ownerReferences: [] } });
    // Its cache does not show the pod: only the refused creation tells of it.
    for (let turn = 0; turn < 3; turn += 1) await world.operator.reconcile(KEY);
    await world.settle();
    expect(conditionOf(world.cluster.find(SANDBOXES, REF)?.status, "Ready")).toMatchObject({
      reason: "PodCreationFailed",
      message: 'The pod "a-pod" is there already and belongs to nobody.',
    });
    expect(world.cluster.all(PODS)[0]?.metadata.deletionTimestamp).toBeUndefined();
    world.cluster.remove(PODS.plural, POD, { force: true });
    world.cluster.nowMs += 1000;
    await world.settle();
    expect(world.cluster.all(PODS)[0]?.metadata.ownerReferences).toHaveLength(1);
  });
});
