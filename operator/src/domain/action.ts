import type { ObjectRef, Resource } from "#core/kubernetes/client.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";

/** One step towards what an object asks for; steps of a plan are done in order, and the first that fails ends it. */
export type Action =
  /** Done once: an object of that name that has the same owner is as good. */
  | { readonly kind: "create"; readonly resource: Resource<KubeObject>; readonly object: KubeObject }
  /** Server-side apply. */
  | { readonly kind: "apply"; readonly resource: Resource<KubeObject>; readonly object: KubeObject }
  | RemoveAction
  /** Server-side apply of the whole status; fails when the object is no longer the version that was planned on. */
  | { readonly kind: "patchStatus"; readonly resource: Resource<KubeObject>; readonly object: KubeObject }
  /** Fails when the object is no longer the version that was planned on. */
  | {
      readonly kind: "setFinalizers";
      readonly resource: Resource<KubeObject>;
      readonly object: KubeObject;
      readonly finalizers: readonly string[];
    }
  /** The object goes no longer with the sandbox that owns it. */
  | { readonly kind: "release"; readonly resource: Resource<KubeObject>; readonly object: KubeObject }
  /** Told to people; its failure is no failure of the plan. */
  | { readonly kind: "event"; readonly event: EventDraft };

/** Removes this very object: one of the same name is left alone. */
export interface RemoveAction {
  readonly kind: "remove";
  readonly resource: Resource<KubeObject>;
  readonly ref: ObjectRef;
  readonly uid: string;
  /** Only while it is this version. */
  readonly resourceVersion?: string;
  /** Instead of what the object itself says. */
  readonly gracePeriodSeconds?: number;
}

export interface EventDraft {
  readonly type: "Normal" | "Warning";
  /** A CamelCase code. */
  readonly reason: string;
  /** What was done, a CamelCase verb. */
  readonly action: string;
  /** One sentence. */
  readonly note: string;
}

export interface Plan {
  readonly actions: readonly Action[];
  /** Plan again at this moment, milliseconds since the Unix epoch, even when nothing changes before. */
  readonly nextDeadlineMs?: number;
  /**
   * What would follow cannot be undone, and caches may be behind: ask the API server itself, and
   * plan again. There are no actions then.
   */
  readonly confirm?: true;
}

/** Removes an object that has been read. */
export function removal(resource: Resource<KubeObject>, { metadata }: KubeObject): RemoveAction {
  const { namespace, name, uid } = metadata;
  if (uid === undefined) throw new TypeError(`Cannot remove "${name}": it was never read from the API server`);
  return { kind: "remove", resource, ref: { name, ...(namespace === undefined ? {} : { namespace }) }, uid };
}
