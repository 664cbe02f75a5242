import type { Resource } from "#core/kubernetes/client.ts";
import type { ObjectReference } from "#core/kubernetes/event.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { apiVersionOf } from "#core/kubernetes/resources.ts";

/** Names an object to those who are told of it. */
export function referenceTo(resource: Resource<KubeObject>, { metadata }: KubeObject): ObjectReference {
  const { name, namespace, uid, resourceVersion } = metadata;
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}
