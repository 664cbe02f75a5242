import type { KubeCall, KubeClient, ObjectRef, Resource } from "#core/kubernetes/client.ts";
import { isNotFound } from "#core/kubernetes/kube-error.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";

/** An object as the API server has it; undefined = there is none. */
export async function findObject<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  ref: ObjectRef,
  call: KubeCall,
): Promise<T | undefined> {
  try {
    return await client.get(resource, ref, call);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
