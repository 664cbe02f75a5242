import type { KubeObject, ObjectMeta } from "./object.ts";
import type { ObjectRef } from "./client.ts";

/** `namespace/name`, or `name` of what has no namespace: no name holds a slash. */
export function keyOf(object: KubeObject | { readonly metadata: Pick<ObjectMeta, "namespace" | "name"> }): string {
  return objectKey(object.metadata);
}

export function objectKey({ namespace, name }: ObjectRef): string {
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

export function refOfKey(key: string): ObjectRef {
  const at = key.indexOf("/");
  return at < 0 ? { name: key } : { namespace: key.slice(0, at), name: key.slice(at + 1) };
}
