import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import type { KubeClient, ObjectRef } from "#core/kubernetes/client.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import { isNotFound } from "#core/kubernetes/kube-error.ts";
import { podName } from "#core/kubernetes/names.ts";
import { objectKey } from "#core/kubernetes/object-key.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { sandboxState } from "#core/kubernetes/sandbox-state.ts";
import type { Log } from "#core/log.ts";
import { orAborted } from "#runtime/or-aborted.ts";
import type { RunningProbe } from "./running-probe.ts";

/** Two reads and a question; where that takes longer, what is known already has to do. */
const LOOK_MS = 5000;

export interface FreshLookDeps {
  readonly client: Pick<KubeClient, "get">;
  readonly sandboxes: Pick<Informer<SandboxResource>, "get" | "upsert" | "drop">;
  readonly pods: Pick<Informer<Pod>, "upsert">;
  readonly probe: Pick<RunningProbe, "askNow">;
  readonly namespace: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Brings a gateway that knows too little of one sandbox to where the cluster is: its copies may be
 * behind those of another gateway, and its agent may have come up between two questions.
 */
export class FreshLook {
  private readonly deps: FreshLookDeps;
  /** By name: the look under way, and the one that begins after it. */
  private readonly looking = new Map<string, Promise<void>>();
  private readonly next = new Map<string, Promise<void>>();

  constructor(deps: FreshLookDeps) {
    this.deps = deps;
  }

  /**
   * Looks, and has the copies hold what is seen. Never rejects: where the API server is away they stay
   * as they are. A look serves all who asked before it began, and there are never two at a time.
   */
  at(name: string): Promise<void> {
    const current = this.looking.get(name);
    if (current === undefined) return this.begin(name);
    const known = this.next.get(name);
    if (known !== undefined) return known;
    const later = current.then(() => {
      this.next.delete(name);
      return this.begin(name);
    });
    this.next.set(name, later);
    return later;
  }

  private begin(name: string): Promise<void> {
    const look = this.look(name).then(() => {
      if (this.looking.get(name) === look) this.looking.delete(name);
    });
    this.looking.set(name, look);
    return look;
  }

  private async look(name: string): Promise<void> {
    const { clock, log } = this.deps;
    const late = (): Error => new Error(`The look took longer than ${LOOK_MS} ms`);
    const { signal } = new AbortController();
    try {
      await withDeadline({ clock, timeoutMs: LOOK_MS, signal, late }, (bounded) => this.lookWithin(name, bounded));
    } catch (error) {
      log.warn("A sandbox cannot be looked at anew", { sandbox_id: name, error });
    }
  }

  private async lookWithin(name: string, signal: AbortSignal): Promise<void> {
    const { client, sandboxes, pods, probe, namespace } = this.deps;
    const ref: ObjectRef & { readonly namespace: string } = { namespace, name };
    const known = sandboxes.get(objectKey(ref))?.metadata.uid;
    const [sandbox, pod] = await Promise.all([
      orNothing(client.get(SANDBOXES, ref, { signal })),
      orNothing(client.get(PODS, { namespace, name: podName(name) }, { signal })),
    ]);
    if (sandbox === undefined) {
      if (known !== undefined) sandboxes.drop(objectKey(ref), known);
      return;
    }
    sandboxes.upsert(sandbox);
    if (pod !== undefined) pods.upsert(pod);
    // The question may have to wait for its turn.
    if (sandboxState(sandbox).phase === "Pending") await orAborted(probe.askNow(sandbox), signal);
  }
}

async function orNothing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
