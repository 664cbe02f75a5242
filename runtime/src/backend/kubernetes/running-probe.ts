import type { SandboxResource } from "#api/crd/sandbox.ts";
import { backoffMs } from "#core/backoff.ts";
import type { Clock } from "#core/clock.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { sandboxState } from "#core/kubernetes/sandbox-state.ts";
import { usedPodUid } from "#core/kubernetes/used-pod.ts";
import type { Log } from "#core/log.ts";
import { createSlots } from "#runtime/slots.ts";
import { agentAddressOf, ownPod } from "./own-pod.ts";

/** An agent starts within tens of milliseconds; one that does not is waited for more patiently. */
const PAUSE = { firstMs: 30, mostMs: 2000 };
/** Agents asked at the same time. */
const MOST_AT_ONCE = 64;

export interface RunningProbeDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Names of the containers that the agent finds; throws while it gives no good answer. */
  readonly ask: (uid: string, ip: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Called when a sandbox is found to be up. */
  readonly onUp: (sandbox: SandboxResource) => void;
}

interface Asking {
  readonly ip: string;
  readonly abort: AbortController;
  /** As it was seen last. */
  pod: Pod;
  /** When all containers answered. */
  upSinceMs?: number;
}

/**
 * Finds out that a sandbox is up as soon as it is, by asking its agent from the moment the pod has
 * an address; kubelet's word comes a second later. Level-based: told of every change, it asks those
 * that need it and no others, and forgets what is gone. A pod that clients use already was found up
 * by another gateway, or by this one before it was started again: that one is not asked anew.
 */
export class RunningProbe {
  private readonly asked = new Map<string, Asking>();
  private readonly deps: RunningProbeDeps;
  private readonly slot = createSlots(MOST_AT_ONCE);

  constructor(deps: RunningProbeDeps) {
    this.deps = deps;
  }

  /** Since when this very sandbox is up; undefined when that is not known here. */
  upSinceMs(uid: string | undefined): number | undefined {
    return this.asked.get(uid ?? "")?.upSinceMs;
  }

  /** Uid of the pod that was found up; undefined when none was. */
  upPodUid(uid: string | undefined): string | undefined {
    return this.foundUp(uid)?.pod.metadata.uid;
  }

  /** Where its agent answered when it was found up; undefined when that is not known here. */
  upAddress(uid: string | undefined): string | undefined {
    return this.foundUp(uid)?.ip;
  }

  /** Looks at a sandbox and its pod as they are now. */
  consider(sandbox: SandboxResource, pod: Pod | undefined): void {
    const uid = sandbox.metadata.uid ?? "";
    const own = ownPod(sandbox, pod);
    const ip = own === undefined ? undefined : agentAddressOf(own);
    const isPending = sandboxState(sandbox).phase === "Pending" && !isRestored(sandbox);
    const known = this.asked.get(uid);
    const kept = known !== undefined && isStillSo(known, own, { ip, isPending }) ? known : undefined;
    if (kept === undefined) this.forget(uid);
    if (own === undefined || ip === undefined) return;
    if (kept !== undefined) kept.pod = own;
    if (!isPending || kept?.upSinceMs !== undefined) return;
    const asking: Asking = kept ?? { ip, abort: new AbortController(), pod: own };
    this.asked.set(uid, asking);
    if (isUsed(sandbox, own)) this.takeAsUp(asking);
    else if (kept === undefined) void this.untilUp(sandbox, asking);
  }

  /**
   * Asks the agent now, of a sandbox that is not known to be up: another gateway may have found it so
   * during the pause between two questions. Never rejects; without an answer nothing changes.
   */
  async askNow(sandbox: SandboxResource): Promise<void> {
    const asking = this.asked.get(sandbox.metadata.uid ?? "");
    if (asking !== undefined && asking.upSinceMs === undefined) await this.ask(sandbox, asking);
  }

  forget(uid: string): void {
    this.asked.get(uid)?.abort.abort(new Error("the sandbox is no longer asked"));
    this.asked.delete(uid);
  }

  close(): void {
    for (const uid of Array.from(this.asked.keys())) this.forget(uid);
  }

  private takeAsUp(asking: Asking): void {
    asking.upSinceMs = runningSinceMs(asking.pod, this.deps.clock.now());
    asking.abort.abort(new Error("another gateway has found the sandbox up"));
  }

  private foundUp(uid: string | undefined): Asking | undefined {
    const asking = this.asked.get(uid ?? "");
    return asking?.upSinceMs === undefined ? undefined : asking;
  }

  private async untilUp(sandbox: SandboxResource, asking: Asking): Promise<void> {
    const { clock, random } = this.deps;
    const { signal } = asking.abort;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      if (asking.upSinceMs === undefined) await this.ask(sandbox, asking);
      if (asking.upSinceMs !== undefined) return;
      await clock.sleep(backoffMs(attempt, PAUSE, random), signal).catch(() => undefined);
    }
  }

  private async ask(sandbox: SandboxResource, asking: Asking): Promise<void> {
    const { clock, log, ask, onUp } = this.deps;
    const { signal } = asking.abort;
    const { uid = "", name } = sandbox.metadata;
    try {
      const found = new Set(await this.slot(() => ask(uid, asking.ip, signal), signal));
      if (signal.aborted || asking.upSinceMs !== undefined || !isUp(sandbox, asking.pod, found)) return;
      asking.upSinceMs = clock.now();
      onUp(sandbox);
    } catch (error) {
      if (!signal.aborted) log.debug("The agent does not answer yet", { sandbox_id: name, error });
    }
  }
}

/** Whether this very pod is the one that clients use: no gateway notes one before all its containers have answered. */
function isUsed(sandbox: SandboxResource, { metadata: { uid } }: Pod): boolean {
  return uid !== undefined && usedPodUid(sandbox) === uid;
}

/** By kubelet's word on the last container that began; now, where it has not said so of any. */
function runningSinceMs({ status }: Pod, nowMs: number): number {
  const starts = (status?.containerStatuses ?? []).map(({ state }) => Date.parse(state?.running?.startedAt ?? ""));
  const known = starts.filter((ms) => ms <= nowMs);
  return known.length === 0 ? nowMs : Math.max(...known);
}

/** Whether it runs is then the operator's word: it looks first whether the image is the one that the snapshot belongs onto. */
function isRestored({ spec }: SandboxResource): boolean {
  return (spec.rootfsSnapshotSources ?? []).length > 0;
}

/**
 * Whether what is known of a sandbox goes on. One that was up stays so when its pod ends: how it
 * ended is the operator's to tell, and until then it has not begun anew. Who is asked is left when
 * there is nobody to ask, or the operator knows more.
 */
function isStillSo(
  known: Asking,
  own: Pod | undefined,
  { ip, isPending }: { readonly ip: string | undefined; readonly isPending: boolean },
): boolean {
  const isUp = known.upSinceMs !== undefined;
  if (own === undefined) return isUp;
  if (own.metadata.uid !== known.pod.metadata.uid) return false;
  return isUp ? ip === undefined || ip === known.ip : isPending && ip === known.ip;
}

/**
 * Whether a sandbox is up in which these containers run. One without a process may have ended as it
 * should; when none is left, or one has failed or never began, the end is the operator's to tell.
 */
function isUp({ spec }: SandboxResource, { status }: Pod, found: ReadonlySet<string>): boolean {
  const ended = new Map(
    (status?.containerStatuses ?? []).flatMap(({ name, state }) =>
      state?.terminated === undefined ? [] : [[name, state.terminated.exitCode]],
    ),
  );
  const names = spec.podTemplate.spec.containers.map(({ name }) => name);
  return names.some((name) => found.has(name)) && names.every((name) => found.has(name) || ended.get(name) === 0);
}
