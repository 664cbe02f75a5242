import type { ListQuery, ObjectRef, RemoveOptions, Resource, WatchQuery, WriteOptions } from "./client.ts";
import type { KubeObject } from "./object.ts";

/** Path of all objects of a kind, in one namespace or, without one, in all. */
export function collectionPath(resource: Resource<KubeObject>, namespace: string | undefined): string {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  if (!resource.namespaced || namespace === undefined) return `${root}/${resource.plural}`;
  return `${root}/namespaces/${segment("namespace", namespace)}/${resource.plural}`;
}

/** Path of one object, or of a subresource of it. */
export function objectPath(resource: Resource<KubeObject>, ref: ObjectRef, subresource?: string): string {
  const path = `${creationPath(resource, ref.namespace)}/${segment("name", ref.name)}`;
  return subresource === undefined ? path : `${path}/${segment("subresource", subresource)}`;
}

/** Path to which a new object is posted. */
export function creationPath(resource: Resource<KubeObject>, namespace: string | undefined): string {
  if (resource.namespaced && namespace === undefined) {
    throw new RangeError(`Cannot address a ${resource.kind} without its namespace`);
  }
  return collectionPath(resource, namespace);
}

/** Refuses what would address something else: an empty name is the whole collection, dots are other folders. */
function segment(what: string, value: string): string {
  if (value === "" || value === "." || value === ".." || /[/%]/.test(value)) {
    throw new RangeError(`Cannot address an object by the ${what} ${JSON.stringify(value)}`);
  }
  return encodeURIComponent(value);
}

/** The query of a list. */
export function listParameters(query: ListQuery): string {
  return parameters({
    labelSelector: query.labelSelector,
    fieldSelector: query.fieldSelector,
    limit: query.limit,
    continue: query.continue,
    resourceVersion: query.resourceVersion,
  });
}

/** The query of a watch with bookmarks. */
export function watchParameters(query: WatchQuery): string {
  return parameters({
    watch: true,
    allowWatchBookmarks: true,
    labelSelector: query.labelSelector,
    fieldSelector: query.fieldSelector,
    resourceVersion: query.resourceVersion,
    timeoutSeconds: query.timeoutSeconds,
  });
}

/** The query of a write. */
export function writeParameters(options: WriteOptions, force?: boolean): string {
  return parameters({
    fieldManager: options.fieldManager,
    dryRun: options.dryRun === true ? "All" : undefined,
    force,
  });
}

/** The body of a removal. */
export function removalBody(options: RemoveOptions): object {
  const { uid, resourceVersion, gracePeriodSeconds, propagationPolicy } = options;
  return {
    apiVersion: "v1",
    kind: "DeleteOptions",
    gracePeriodSeconds,
    propagationPolicy,
    preconditions: uid === undefined && resourceVersion === undefined ? undefined : { uid, resourceVersion },
  };
}

function parameters(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  let query = "";
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === "") continue;
    query += `${query === "" ? "?" : "&"}${name}=${encodeURIComponent(value)}`;
  }
  return query;
}
