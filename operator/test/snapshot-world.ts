import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource, SandboxRootfsRestore, SandboxSpecResource } from "#api/crd/sandbox.ts";
import { SANDBOX_FINALIZER } from "#core/kubernetes/names.ts";
import { objectKey } from "#core/kubernetes/object-key.ts";
import type { Pod, PodStatus } from "#core/kubernetes/pod.ts";
import { NODES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { conditionOf } from "#core/kubernetes/sandbox-state.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import { snapshotNameOf } from "#operator/domain/snapshot/turn.ts";
import { isTerminationRecord } from "#operator/domain/termination-record.ts";
import { KINDS, ModelCluster, type Fate } from "./model-cluster.ts";
import { ModelMounter, type ModelStore } from "./model-mounter.ts";
import { ModelOperator } from "./model-operator.ts";
import { running, runningStatus, sampleSandbox, WITH_SNAPSHOTS } from "./samples.ts";
import { sampleRecord } from "./snapshot-samples.ts";

export const REF = { namespace: "ns", name: "a" };
export const POD = { namespace: "ns", name: "a-pod" };
export const RECORDS = ["r1", "r2", "a-termination"] as const;
const NODE = { name: "node-1" };
const ENDS = new Set([
  "NoRootfsSnapshot",
  "RootfsSnapshotComplete",
  "RootfsSnapshotFailed",
  "RootfsSnapshotTimeout",
  "InvalidRuntime",
]);

export const recordRef = (name: string) => ({ namespace: "ns", name });
const isOpen = (record: RootfsSnapshotResource) => !isFinished(snapshotState(record).phase);

/** A cluster with one sandbox that is saved or restored, its operator and its node's mounter, and what must hold whatever happens. */
export class SnapshotWorld {
  readonly cluster = new ModelCluster();
  readonly store: ModelStore = { names: new Map(), published: new Set() };
  readonly mounter = new ModelMounter(this.cluster, this.store);
  operator: ModelOperator;
  standby: ModelOperator;
  readonly broken: string[] = [];
  readonly #spec: Partial<SandboxSpecResource>;
  readonly #ends = new Map<string, string>();
  readonly #deadlines = new Map<string, string>();
  /** The operator is at work: what happens is its doing. */
  #isActing = false;

  constructor(spec: Partial<SandboxSpecResource>) {
    this.#spec = spec;
    this.cluster.insert(NODES.plural, { metadata: NODE });
    this.create();
    this.operator = new ModelOperator(this.cluster, WITH_SNAPSHOTS);
    this.standby = new ModelOperator(this.cluster, WITH_SNAPSHOTS);
    this.cluster.onEvent = (kind, event) => {
      if (event.kind === "bookmark") return;
      if (kind === ROOTFS_SNAPSHOTS.plural) this.#checkRecord(event.object as RootfsSnapshotResource);
      if (kind === SANDBOXES.plural && event.kind === "modified") this.#checkSandbox(event.object as SandboxResource);
      if (kind === PODS.plural) this.#checkPod(event.kind, event.object as Pod);
    };
  }

  create(): void {
    if (this.cluster.find(SANDBOXES, REF) !== undefined) return;
    this.cluster.insert(SANDBOXES.plural, sampleSandbox(this.#spec, { metadata: { finalizers: [SANDBOX_FINALIZER] } }));
  }

  snapshot(name: string, snapshotName: string): void {
    if (this.cluster.find(ROOTFS_SNAPSHOTS, recordRef(name)) !== undefined) return;
    const { spec } = sampleRecord({ snapshotName, ttlSecondsAfterFinished: 20 });
    this.cluster.insert(ROOTFS_SNAPSHOTS.plural, { metadata: recordRef(name), spec } as RootfsSnapshotResource);
  }

  async reconcile(of: "sandbox" | "snapshot", name: string, fates: readonly Fate[] = []): Promise<number> {
    this.cluster.fates = [...fates];
    this.#isActing = true;
    const look = await this.operator.reconcile(objectKey(recordRef(name)), of);
    this.#isActing = false;
    this.cluster.fates = [];
    return look.requeueAtMs ?? Infinity;
  }

  /** Kubelet takes the pod, or says that its container runs: as long as the pod is there, and no archive is missing. */
  kubelet(says: "taken" | "running" | "ended"): void {
    const isHeld = this.cluster.find(PODS, POD)?.spec.initContainers?.some(({ startupProbe }) => startupProbe) === true;
    if (says !== "taken" && isHeld && !this.#isRestored) return;
    this.cluster.change(PODS.plural, POD, (object) => {
      const pod = object as Pod;
      const { nodeName, ...others } = pod.spec;
      const hasEnded = pod.status?.containerStatuses?.some(({ state }) => state?.terminated !== undefined) ?? false;
      if (hasEnded || (nodeName === undefined && says !== "taken")) return pod;
      return { ...pod, spec: { ...others, nodeName: NODE.name }, status: statusOf(pod, says) };
    });
  }

  get #isRestored(): boolean {
    const { status } = this.cluster.find(SANDBOXES, REF) ?? {};
    return status?.rootfsRestores?.every(({ phase }) => phase === "Ready") ?? false;
  }

  /** The mounter says how far the restore of the pod is. */
  async restore(phase: SandboxRootfsRestore["phase"]): Promise<void> {
    const sandbox = this.cluster.find(SANDBOXES, REF);
    const before = sandbox?.status?.rootfsRestores?.[0]?.phase;
    if (
      sandbox === undefined ||
      this.cluster.find(PODS, POD) === undefined ||
      before === "Ready" ||
      before === "Failed"
    )
      return;
    if (sandbox.spec.rootfsSnapshotSources === undefined) return;
    const rootfsRestores = [{ containerName: "main", snapshotName: "s", phase }];
    const object = {
      metadata: { ...REF, uid: sandbox.metadata.uid },
      status: { rootfsRestores },
    } as unknown as SandboxResource;
    const write = { fieldManager: "atoll-mounter", subresource: "status" };
    await this.cluster.client().apply(SANDBOXES, object, { signal: new AbortController().signal }, write);
  }

  /** Kubelet stops a container when its hook is answered or the pod's time is over. */
  finish(): void {
    const pod = this.cluster.find(PODS, POD);
    const hasHook = pod?.spec.containers.some(({ lifecycle }) => lifecycle?.preStop !== undefined) ?? false;
    const { status } = this.cluster.find(SANDBOXES, REF) ?? {};
    const isAnswered = ENDS.has(conditionOf(status, "RootfsSnapshot")?.reason ?? "") || !this.mounter.isAlive;
    const isOver = this.cluster.nowMs >= Date.parse(pod?.metadata.deletionTimestamp ?? "");
    if (!hasHook || isAnswered || isOver) this.cluster.finishRemoval(POD);
  }

  /** Everybody does their work until nothing is left to do; when the operator wants to look again. */
  async settle(): Promise<number> {
    for (let round = 0; round < 40; round += 1) {
      const { version } = this.cluster;
      const atMs = await this.#round();
      if (this.cluster.version === version && atMs > this.cluster.nowMs) return atMs;
    }
    this.broken.push("it never comes to rest");
    return Infinity;
  }

  /** The operator hears and does all that is to be done; when it wants to look again. */
  async catchUp(): Promise<number> {
    for (const kind of KINDS) this.operator.hear(kind);
    let atMs = await this.reconcile("sandbox", REF.name);
    for (const name of RECORDS) atMs = Math.min(atMs, await this.reconcile("snapshot", name));
    return atMs;
  }

  /** The mounter looks at each record, and goes one stage on. */
  async mount(): Promise<void> {
    for (const name of RECORDS) {
      this.mounter.look(recordRef(name));
      await this.mounter.work(recordRef(name));
    }
  }

  async #round(): Promise<number> {
    const atMs = await this.catchUp();
    // Not each of its stages changes an object.
    for (let stage = 0; stage < 4; stage += 1) await this.mount();
    for (const name of RECORDS) await this.mounter.settle(recordRef(name));
    this.finish();
    this.cluster.collectGarbage();
    return atMs;
  }

  /** Of a failure nothing may ever be published, however much later. */
  #checkStore(): void {
    for (const uid of this.store.published) {
      if (this.#ends.get(uid)?.includes('"status":"False"') === true)
        this.broken.push(`${uid}: published after its end`);
    }
  }

  /** Lets time go by, by the operator's own deadlines, until nothing more is to come before this moment. */
  async runUntil(endMs: number): Promise<void> {
    for (let looks = 0; looks < 100; looks += 1) {
      const atMs = await this.settle();
      if (atMs > endMs) break;
      this.cluster.nowMs = Math.max(atMs, this.cluster.nowMs + 1);
    }
    this.cluster.nowMs = Math.max(this.cluster.nowMs, endMs);
    await this.settle();
    this.#checkStore();
  }

  #checkRecord(record: RootfsSnapshotResource): void {
    const { uid = "", name } = record.metadata;
    const end = conditionOf(record.status, "Succeeded");
    if (record.status?.startTime !== undefined && isOpen(record)) this.#checkTurn(record);
    const text = end === undefined || end.status === "Unknown" ? undefined : JSON.stringify(end);
    const before = this.#ends.get(uid);
    if (before !== undefined && text !== before) this.broken.push(`${name}: the end changed from ${before} to ${text}`);
    if (text === undefined) return;
    this.#ends.set(uid, text);
    const isPublished = this.store.published.has(uid);
    if ((end?.status === "True") !== isPublished) this.broken.push(`${name}: ${text}, but published: ${isPublished}`);
  }

  #checkTurn(record: RootfsSnapshotResource): void {
    const others = this.cluster
      .all(ROOTFS_SNAPSHOTS)
      .filter((other) => other.metadata.uid !== record.metadata.uid && isOpen(other))
      .filter((other) => other.status?.startTime !== undefined && snapshotNameOf(other) === snapshotNameOf(record));
    if (others.length > 0) this.broken.push(`${record.metadata.name}: two write one name at once`);
  }

  #checkSandbox(sandbox: SandboxResource): void {
    const { status, metadata } = sandbox;
    const { uid = "" } = metadata;
    const before = this.#deadlines.get(uid);
    const deadline = status?.terminationDeadlineAt;
    if (before !== undefined && deadline !== before) this.broken.push("the deadline of the end was moved");
    if (deadline !== undefined) this.#deadlines.set(uid, deadline);
    if (!this.#isActing) return;
    const said = conditionOf(status, "RootfsSnapshot")?.reason;
    const record = this.cluster.all(ROOTFS_SNAPSHOTS).find((each) => isTerminationRecord(each, sandbox));
    const isGivenUp = said === "RootfsSnapshotFailed" || said === "InvalidRuntime";
    if (isGivenUp && record !== undefined && isOpen(record)) this.broken.push("a snapshot that was begun was given up");
    if (said === "RootfsSnapshotTimeout" && this.cluster.nowMs < Date.parse(deadline ?? "")) {
      this.broken.push("the last snapshot was given up before its time");
    }
    const isReady = conditionOf(status, "Ready")?.status === "True";
    if (isReady && sandbox.spec.rootfsSnapshotSources !== undefined && !this.#isRestored) {
      this.broken.push("it was called ready before it was restored");
    }
  }

  #checkPod(change: string, { spec, metadata }: Pod): void {
    if (change === "added") {
      const isHeld = spec.initContainers?.at(-1)?.startupProbe !== undefined && spec.containers.length === 1;
      const archives = Object.keys(metadata.annotations ?? {}).filter((key) => key.startsWith("dev.gvisor.tar."));
      const isRestored = this.#spec.rootfsSnapshotSources !== undefined;
      if (isHeld !== isRestored || archives.length !== (isRestored ? 1 : 0))
        this.broken.push("a pod of the wrong shape");
    }
    const sandbox = this.cluster.find(SANDBOXES, REF);
    const isSaved = sandbox?.spec.terminationPolicy?.type === "SnapshotRootfs";
    if (!this.#isActing || !isSaved || change !== "modified" || metadata.deletionTimestamp === undefined) return;
    const said = conditionOf(sandbox.status, "RootfsSnapshot")?.reason ?? "";
    if (!ENDS.has(said)) this.broken.push(`the operator stopped a pod whose snapshot is "${said}"`);
  }

  get left(): readonly string[] {
    return [SANDBOXES, PODS].flatMap(({ plural }) => this.cluster.all({ plural }).map(({ metadata }) => metadata.name));
  }

  get openRecords(): readonly string[] {
    return this.cluster
      .all(ROOTFS_SNAPSHOTS)
      .filter(isOpen)
      .map(({ metadata }) => metadata.name);
  }
}

function statusOf(pod: Pod, says: "taken" | "running" | "ended"): PodStatus {
  const main = {
    ...running("main"),
    containerID: `containerd://${"0".repeat(63)}1`,
    imageID: `sha256:${"a".repeat(64)}`,
  };
  const agent = running("sandbox-sidecar");
  if (says === "taken") return { phase: "Pending", startTime: "2026-01-01T00:00:01Z" };
  const ended = { terminated: { exitCode: 3, finishedAt: "2026-01-01T00:00:05Z" } };
  const state = says === "ended" ? ended : { running: {} };
  const { containerStatuses: _, ...status } = runningStatus(main);
  const own = { ...main, ready: says === "running", state };
  const isHeld = pod.spec.initContainers !== undefined;
  return isHeld
    ? { ...status, containerStatuses: [own], initContainerStatuses: [agent] }
    : { ...status, containerStatuses: [agent, own] };
}
