import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import { isConflict, isNotFound } from "#core/kubernetes/kube-error.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import { SANDBOXES } from "#core/kubernetes/resources.ts";
import { usedPodUid } from "#core/kubernetes/used-pod.ts";
import { orAborted } from "#runtime/or-aborted.ts";
import { writeCertainly } from "./certain-write.ts";

export interface SandboxMarksDeps {
  readonly client: KubeClient;
  readonly sandboxes: Pick<Informer<SandboxResource>, "upsert">;
  readonly clock: Clock;
}

/** What a gateway says of a sandbox. */
interface Marks {
  /** Its creator has its answer. */
  readonly isConfirmed: boolean;
  /** Uid of the pod that was found up, in which clients will use it. */
  readonly usedPod?: string | undefined;
}

/**
 * Writes what the gateway alone knows onto a Sandbox object. The pod that clients use is written
 * once and never replaced: whoever finds another noted there must not use its own.
 */
export class SandboxMarks {
  private readonly deps: SandboxMarksDeps;
  /** Notes of pods under way, by the sandbox's uid: one write serves all who wait for it. */
  private readonly noting = new Map<string, Promise<SandboxResource | undefined>>();

  constructor(deps: SandboxMarksDeps) {
    this.deps = deps;
  }

  /** The creator has its answer. Undefined: the sandbox is gone. */
  confirm(sandbox: SandboxResource, usedPod: string | undefined, signal: AbortSignal): Promise<MarkedSandbox> {
    // The sandbox was made: a client that made its whole request again would get another.
    return this.write(sandbox, { isConfirmed: true, usedPod }, { signal, mayRepeat: false });
  }

  /** Notes the pod before the first request of a client goes there. Undefined: the sandbox is gone. */
  async noteUse(sandbox: SandboxResource, usedPod: string, signal: AbortSignal): Promise<MarkedSandbox> {
    if (usedPodUid(sandbox) !== undefined) return sandbox;
    signal.throwIfAborted();
    const { uid = "" } = sandbox.metadata;
    const writing = this.noting.get(uid) ?? this.beginNote(uid, sandbox, usedPod);
    return orAborted(writing, signal);
  }

  /** Goes on though one of those who wait goes away: it is bounded by itself. */
  private beginNote(uid: string, sandbox: SandboxResource, usedPod: string): Promise<MarkedSandbox> {
    const { signal } = new AbortController();
    const writing = this.write(sandbox, { isConfirmed: false, usedPod }, { signal, mayRepeat: true });
    this.noting.set(uid, writing);
    const forget = (): void => void this.noting.delete(uid);
    writing.then(forget, forget);
    return writing;
  }

  private async write(
    sandbox: SandboxResource,
    marks: Marks,
    how: { readonly signal: AbortSignal; readonly mayRepeat: boolean },
  ): Promise<MarkedSandbox> {
    const { clock, client, sandboxes } = this.deps;
    const { name, namespace, uid } = sandbox.metadata;
    const ref = { name, ...(namespace === undefined ? {} : { namespace }) };
    let known = sandbox;
    const act = async (signal: AbortSignal): Promise<MarkedSandbox> => {
      for (;;) {
        const patch = patchOf(known, marks);
        if (patch === undefined) return known;
        try {
          return await client.patch(SANDBOXES, ref, patch, { signal });
        } catch (error) {
          if (isNotFound(error)) return undefined;
          if (!isConflict(error)) throw error;
        }
        const fresh = await client.get(SANDBOXES, ref, { signal }).catch((error: unknown) => {
          if (isNotFound(error)) return undefined;
          throw error;
        });
        // Another one of its name is another sandbox.
        if (fresh === undefined || fresh.metadata.uid !== uid) return undefined;
        known = fresh;
      }
    };
    const marked = await writeCertainly({ clock, ...how, act });
    if (marked !== undefined) sandboxes.upsert(marked);
    return marked;
  }
}

/** Undefined: it is gone. */
type MarkedSandbox = SandboxResource | undefined;

/** Undefined where everything is said already. */
function patchOf(sandbox: SandboxResource, { isConfirmed, usedPod }: Marks): object | undefined {
  const { uid, resourceVersion, annotations = {} } = sandbox.metadata;
  const confirms = isConfirmed && annotations[ANNOTATION.provisional] !== undefined;
  const notes = usedPod !== undefined && usedPodUid(sandbox) === undefined;
  if (!confirms && !notes) return undefined;
  return {
    metadata: {
      uid,
      // A note must not replace one that came meanwhile; a confirmation alone goes with any version.
      ...(notes ? { resourceVersion } : {}),
      annotations: {
        ...(confirms ? { [ANNOTATION.provisional]: null } : {}),
        ...(notes ? { [ANNOTATION.usedPod]: usedPod } : {}),
      },
    },
  };
}
