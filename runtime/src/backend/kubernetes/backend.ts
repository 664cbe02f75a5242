import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeClient, ObjectRef } from "#core/kubernetes/client.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import { isAlreadyExists, isNotFound } from "#core/kubernetes/kube-error.ts";
import { ANNOTATION, podName } from "#core/kubernetes/names.ts";
import { objectKey, refOfKey } from "#core/kubernetes/object-key.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import type { Log } from "#core/log.ts";
import { ProblemError } from "#core/problem-error.ts";
import { hasEnded, type Sandbox, type SandboxPhase } from "#core/sandbox.ts";
import type { AgentFetch, Call, CreateSandbox, ListSandboxes, Page, SandboxBackend } from "#runtime/backend/port.ts";
import { orAborted } from "#runtime/or-aborted.ts";
import { AgentRelease } from "./agent-release.ts";
import type { Agents } from "./agents.ts";
import { writeCertainly } from "./certain-write.ts";
import { toResource } from "./convert.ts";
import { endedProblem, podEndedProblem } from "./ended.ts";
import { followState } from "./follow-state.ts";
import { FreshLook } from "./fresh-look.ts";
import { agentAddressOf, isPodOver, ownPod } from "./own-pod.ts";
import { problemOf } from "./problem-of.ts";
import { RunningProbe } from "./running-probe.ts";
import { SandboxMarks } from "./sandbox-marks.ts";
import { checkBases } from "./snapshot/check-bases.ts";
import { KubernetesSnapshots } from "./snapshot/snapshots.ts";
import { byCreation, phaseOf, toSandbox } from "./to-sandbox.ts";
import { createWakeUps } from "./wake-ups.ts";

/** What a pod's name has on top of its sandbox's. */
const POD_SUFFIX = podName("");

export interface KubernetesBackendDeps {
  readonly client: KubeClient;
  /** Both of the one namespace; run by the caller until `stop`. */
  readonly sandboxes: Informer<SandboxResource>;
  readonly pods: Informer<Pod>;
  /** Of the same namespace, with the index `BY_SNAPSHOT_NAME`; absent where nobody takes snapshots. */
  readonly records?: Informer<RootfsSnapshotResource>;
  readonly agents: Agents;
  readonly namespace: string;
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly stop: () => Promise<void>;
}

/** The port over custom resources: writes go to the API server, reads come from a copy, the operator does the rest. */
export class KubernetesBackend implements SandboxBackend {
  readonly snapshots?: KubernetesSnapshots;
  private readonly deps: KubernetesBackendDeps;
  private readonly probe: RunningProbe;
  private readonly fresh: FreshLook;
  private readonly release: AgentRelease;
  private readonly marks: SandboxMarks;
  private readonly wakeUps = createWakeUps();

  constructor(deps: KubernetesBackendDeps) {
    this.deps = deps;
    this.probe = new RunningProbe({
      clock: deps.clock,
      log: deps.log,
      random: deps.random,
      ask: (uid, ip, signal) => deps.agents.containersOf(uid, ip, signal),
      onUp: ({ metadata }) => this.wakeUps.wake(metadata.name),
    });
    this.fresh = new FreshLook({ ...deps, probe: this.probe });
    this.release = new AgentRelease(deps);
    this.marks = new SandboxMarks(deps);
    if (deps.records !== undefined) {
      const { client, namespace, clock, records } = deps;
      const isStartingFrom = (name: string): boolean => this.isStartingFrom(name);
      this.snapshots = new KubernetesSnapshots({ client, records, namespace, clock, isStartingFrom });
    }
    deps.sandboxes.onChange((key, now, before) => this.onSandbox(refOfKey(key).name, now, before));
    deps.pods.onChange((key, now, before) => this.onPod(refOfKey(key).name, now, before));
  }

  async create(request: CreateSandbox, call: Call): Promise<Sandbox> {
    const { clock, client, namespace, sandboxes } = this.deps;
    const known = sandboxes.get(this.keyOf(request.id));
    if (known !== undefined) return this.sameRequest(known, request);
    checkBases(request.spec, (name) => this.snapshots?.baseOf(name));
    const resource = toResource(request, { namespace, nowMs: clock.now() });
    const act = async (signal: AbortSignal): Promise<SandboxResource> => {
      try {
        return await client.create(SANDBOXES, resource, { signal });
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        // Somebody else's, or an own attempt whose answer was lost: the digest tells.
        return client.get(SANDBOXES, resource.metadata, { signal });
      }
    };
    const made = await writeCertainly({ clock, signal: call.signal, mayRepeat: false, act });
    sandboxes.upsert(made);
    return this.sameRequest(made, request);
  }

  async confirm(id: string, call: Call): Promise<void> {
    const known = await this.find(id, call);
    if (known.metadata.annotations?.[ANNOTATION.provisional] === undefined) return;
    // The same write says in which pod the sandbox is used: none of its own is needed before the first request.
    const usedPod = this.probe.upPodUid(known.metadata.uid);
    if ((await this.marks.confirm(known, usedPod, call.signal)) === undefined) throw notFound(id);
  }

  async get(id: string, call: Call): Promise<Sandbox> {
    return this.present(await this.find(id, call));
  }

  async list({ limit, after }: ListSandboxes): Promise<Page<Sandbox>> {
    const { sandboxes } = this.deps;
    if (!sandboxes.isSynced) throw notRead();
    const all = [...sandboxes.values()].toSorted(byCreation);
    const start = after === undefined ? 0 : all.findIndex(({ metadata }) => metadata.name === after) + 1;
    const slice = all.slice(start, limit === undefined ? undefined : start + limit);
    const items = slice.map((resource) => this.present(resource));
    const last = items.at(-1);
    return start + items.length < all.length && last !== undefined ? { items, next: last.id } : { items };
  }

  *phases(): Iterable<SandboxPhase> {
    for (const resource of this.deps.sandboxes.values())
      yield phaseOf(resource, this.probe.upSinceMs(resource.metadata.uid));
  }

  async remove(id: string, call: Call): Promise<void> {
    const { clock, client, sandboxes } = this.deps;
    const known = sandboxes.get(this.keyOf(id))?.metadata;
    if (known?.deletionTimestamp !== undefined) return;
    const act = (signal: AbortSignal) =>
      client.remove(SANDBOXES, this.refOf(id), { signal }, { propagationPolicy: "Background" });
    const removal = await writeCertainly({ clock, signal: call.signal, mayRepeat: true, act });
    if (removal.kind === "going") sandboxes.upsert(removal.object);
    const gone = removal.kind === "removed" ? removal.uid : removal.kind === "absent" ? known?.uid : undefined;
    if (gone !== undefined) sandboxes.drop(this.keyOf(id), gone);
  }

  async *watch(id: string, call: Call): AsyncIterable<Sandbox> {
    const { uid } = (await this.find(id, call)).metadata;
    const look = (): Sandbox | undefined => {
      const resource = this.deps.sandboxes.get(this.keyOf(id));
      // Another one of its name is another sandbox.
      return resource === undefined || resource.metadata.uid !== uid ? undefined : this.present(resource);
    };
    const onWake = (listener: () => void) => this.wakeUps.on(id, listener);
    yield* followState({ look, onWake, isSame: sameState }, call.signal);
  }

  async agent(id: string, call: Call): Promise<AgentFetch> {
    const resource = await this.forUse(await this.findUp(id, call), call);
    const { uid = "" } = resource.metadata;
    const { phase } = this.present(resource);
    const end = this.endOf(resource);
    if (end !== undefined) throw end;
    if (phase !== "Running") {
      throw new ProblemError("sandbox-not-ready", `The sandbox "${id}" is ${phase}, not Running.`);
    }
    const pod = this.podOf(resource) ?? (await this.readPod(resource, call));
    if (pod !== undefined && isPodOver(pod)) throw podEndedProblem(id, pod);
    // The copy of the pods may be behind whoever said that the sandbox runs: the operator, or the agent itself.
    const ip = (pod && agentAddressOf(pod)) ?? resource.status?.podIP ?? this.probe.upAddress(uid);
    if (ip === undefined) throw new ProblemError("sandbox-not-ready", `The pod of the sandbox "${id}" has no address.`);
    const fetch = await this.deps.agents.fetchOf(uid, ip);
    return async (request) => {
      try {
        return await fetch(request);
      } catch (error) {
        // An agent that breaks off may do so because its sandbox ends, which says more.
        const now = this.deps.sandboxes.get(this.keyOf(id));
        throw (now?.metadata.uid === uid ? this.endOf(now) : undefined) ?? error;
      }
    };
  }

  /** Later on, an API server that is away changes nothing: reads and commands go on without it. */
  async ready(): Promise<void> {
    const { sandboxes, pods, records, agents } = this.deps;
    if (!agents.hasKeys) throw new ProblemError("unavailable", "The gateway waits for the keys of the agents.");
    const isRead = [sandboxes, pods, records].every((copy) => copy?.isSynced ?? true);
    if (!isRead) throw notRead();
  }

  async close(): Promise<void> {
    this.probe.close();
    this.release.close();
    this.deps.agents.close();
    await this.deps.stop();
  }

  /** From the copy; what is not there may be newer than the copy. */
  private async find(id: string, call: Call): Promise<SandboxResource> {
    const { client, sandboxes } = this.deps;
    const known = sandboxes.get(this.keyOf(id));
    if (known !== undefined) return known;
    try {
      const found = await client.get(SANDBOXES, this.refOf(id), { signal: call.signal });
      sandboxes.upsert(found);
      return found;
    } catch (error) {
      throw isNotFound(error) ? notFound(id) : problemOf(error, { mayRepeat: true });
    }
  }

  /** What is not up by the copy may be so for another gateway, which has said so to the client. */
  private async findUp(id: string, call: Call): Promise<SandboxResource> {
    const known = await this.find(id, call);
    if (this.present(known).phase !== "Pending") return known;
    await orAborted(this.fresh.at(id), call.signal);
    return this.find(id, call);
  }

  /**
   * The sandbox when its object says that it has a pod, so that it never gets another: by the
   * operator's status, or else by this gateway's note of the pod that it found up.
   */
  private async forUse(resource: SandboxResource, { signal }: Call): Promise<SandboxResource> {
    const usedPod = this.probe.upPodUid(resource.metadata.uid);
    if (usedPod === undefined || phaseOf(resource, undefined) !== "Pending") return resource;
    const marked = await this.marks.noteUse(resource, usedPod, signal);
    if (marked === undefined) throw notFound(resource.metadata.name);
    return marked;
  }

  private isStartingFrom(snapshotName: string): boolean {
    return [...this.deps.sandboxes.values()].some(
      (sandbox) =>
        sandbox.spec.rootfsSnapshotSources?.some((source) => source.snapshotName === snapshotName) &&
        phaseOf(sandbox, this.probe.upSinceMs(sandbox.metadata.uid)) === "Pending",
    );
  }

  private present(resource: SandboxResource): Sandbox {
    return toSandbox(resource, this.probe.upSinceMs(resource.metadata.uid));
  }

  private sameRequest(existing: SandboxResource, { id, requestDigest }: CreateSandbox): Sandbox {
    const sandbox = this.present(existing);
    if (sandbox.requestDigest === requestDigest) return sandbox;
    if (sandbox.requestDigest === "") throw new ProblemError("sandbox-exists", `There is a sandbox "${id}" already.`);
    throw new ProblemError(
      "idempotency-mismatch",
      "This idempotency key made a sandbox from another request; use a new key for a new request.",
    );
  }

  private onSandbox(name: string, now: SandboxResource | undefined, before: SandboxResource | undefined): void {
    const gone = before?.metadata.uid === now?.metadata.uid ? undefined : before?.metadata.uid;
    if (gone !== undefined) {
      this.probe.forget(gone);
      this.release.forget(gone);
    }
    if (now !== undefined) this.consider(now, this.deps.pods.get(this.keyOf(podName(name))));
    this.wakeUps.wake(name);
  }

  private onPod(name: string, now: Pod | undefined, before: Pod | undefined): void {
    if (!name.endsWith(POD_SUFFIX)) return;
    const sandbox = this.deps.sandboxes.get(this.keyOf(name.slice(0, -POD_SUFFIX.length)));
    if (sandbox === undefined) return;
    this.consider(sandbox, now);
    const gone = now === undefined ? ownPod(sandbox, before) : undefined;
    if (gone !== undefined) {
      const why = this.endOf(sandbox) ?? podEndedProblem(sandbox.metadata.name, gone);
      this.release.forget(sandbox.metadata.uid ?? "", why);
    }
    this.wakeUps.wake(sandbox.metadata.name);
  }

  private consider(sandbox: SandboxResource, pod: Pod | undefined): void {
    this.probe.consider(sandbox, pod);
    this.release.consider(sandbox.metadata.uid ?? "", this.present(sandbox), ownPod(sandbox, pod));
  }

  private podOf(resource: SandboxResource): Pod | undefined {
    return ownPod(resource, this.deps.pods.get(this.keyOf(podName(resource.metadata.name))));
  }

  /**
   * A pod that the copy lacks: the two copies are not equally far, or the pod is gone and nobody has
   * said so yet. Undefined while the API server cannot tell.
   */
  private async readPod(resource: SandboxResource, { signal }: Call): Promise<Pod | undefined> {
    const { client, pods } = this.deps;
    const { name } = resource.metadata;
    let found: Pod | undefined;
    try {
      found = await client.get(PODS, this.refOf(podName(name)), { signal });
    } catch (error) {
      signal.throwIfAborted();
      if (!isNotFound(error)) return undefined;
    }
    // One that bears the name but is another's is none of this sandbox.
    const pod = ownPod(resource, found);
    if (pod === undefined) throw podEndedProblem(name, {});
    pods.upsert(pod);
    return pod;
  }

  /** Why nothing can be asked of the sandbox's agent any more: the operator's word, or what the pod shows before it. */
  private endOf(resource: SandboxResource): ProblemError | undefined {
    const sandbox = this.present(resource);
    if (hasEnded(sandbox.phase)) return endedProblem(sandbox);
    const pod = this.podOf(resource);
    const isOver = pod !== undefined && isPodOver(pod) && sandbox.phase === "Running";
    return isOver ? podEndedProblem(sandbox.id, pod) : undefined;
  }

  private refOf(name: string): ObjectRef & { readonly namespace: string } {
    return { namespace: this.deps.namespace, name };
  }

  private keyOf(name: string): string {
    return objectKey(this.refOf(name));
  }
}

function notFound(id: string): ProblemError {
  return new ProblemError("sandbox-not-found", `There is no sandbox "${id}".`);
}

function notRead(): ProblemError {
  return new ProblemError("unavailable", "The gateway has not read the cluster's sandboxes yet.");
}

function sameState(a: Sandbox, b: Sandbox): boolean {
  return a.phase === b.phase && a.reason === b.reason && a.message === b.message;
}
