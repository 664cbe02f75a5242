import type { KubeObject } from "./object.ts";

/** A kind of object and where the API server serves it; `T` is the object's type. */
export interface Resource<T extends KubeObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never present: it carries the type. */
  readonly object?: T;
}

export interface ObjectRef {
  readonly namespace?: string;
  readonly name: string;
}

/** What each call carries: when to stop waiting. */
export interface KubeCall {
  readonly signal: AbortSignal;
}

export interface ListQuery {
  /** Absent = all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Objects of one page. */
  readonly limit?: number;
  readonly continue?: string;
  /** `"0"` answers from the API server's cache. */
  readonly resourceVersion?: string;
}

export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly continue?: string;
}

export interface WatchQuery extends Omit<ListQuery, "limit" | "continue"> {
  readonly resourceVersion: string;
  /** The API server ends the watch after about so long. */
  readonly timeoutSeconds?: number;
}

export type WatchEvent<T> =
  | { readonly kind: "added" | "modified" | "deleted"; readonly object: T }
  /** Nothing changed up to this version. */
  | { readonly kind: "bookmark"; readonly resourceVersion: string };

export interface WriteOptions {
  /** Of server-side apply and for the record of who changed what. */
  readonly fieldManager?: string;
  readonly subresource?: string;
  /** The API server checks and answers as if, and keeps nothing. */
  readonly dryRun?: boolean;
}

export interface ApplyOptions extends WriteOptions {
  readonly fieldManager: string;
  /** @default true */
  readonly force?: boolean;
}

/** What a removal found and left. */
export type Removal<T> =
  /** There was no such object. */
  | { readonly kind: "absent" }
  /** It is gone; `uid` where the API server said which it was. */
  | { readonly kind: "removed"; readonly uid?: string }
  /** It stays, with a deletion timestamp, until its finalizers or its processes are gone. */
  | { readonly kind: "going"; readonly object: T };

export interface RemoveOptions {
  /** Removes this very object only: another of its name is a conflict. */
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Foreground" | "Background" | "Orphan";
}

/**
 * The Kubernetes API in eight verbs. All throw `KubeError` (`kube-error.ts`) for an answer that
 * is not a success, and for no answer at all; an aborted call throws the signal's reason.
 */
export interface KubeClient {
  get<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, call: KubeCall): Promise<T>;
  /** One page. */
  list<T extends KubeObject>(resource: Resource<T>, query: ListQuery, call: KubeCall): Promise<ObjectList<T>>;
  create<T extends KubeObject>(resource: Resource<T>, object: T, call: KubeCall, options?: WriteOptions): Promise<T>;
  /** Replaces the object; with its resourceVersion it fails with a conflict when somebody was faster. */
  replace<T extends KubeObject>(resource: Resource<T>, object: T, call: KubeCall, options?: WriteOptions): Promise<T>;
  /** Server-side apply, taking over fields that others own; without `force` such a field is a conflict. */
  apply<T extends KubeObject>(resource: Resource<T>, object: T, call: KubeCall, options: ApplyOptions): Promise<T>;
  /** A JSON merge patch, or a JSON patch when it is a list. */
  patch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: object,
    call: KubeCall,
    options?: WriteOptions,
  ): Promise<T>;
  /** Idempotent: an object that is not there is no error. */
  remove<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    call: KubeCall,
    options?: RemoveOptions,
  ): Promise<Removal<T>>;
  /**
   * Changes after `resourceVersion`, with bookmarks. Ends when the server ends it; throws `KubeError`
   * with status 410 when the version is too old. A stream that is cut in the middle of an event throws.
   */
  watch<T extends KubeObject>(resource: Resource<T>, query: WatchQuery, call: KubeCall): AsyncIterable<WatchEvent<T>>;
  /** The body of a GET of any path, such as `/readyz` or `/version`. */
  text(path: string, call: KubeCall): Promise<string>;
}

/**
 * How requests reach the API server: a fetch that knows its address, certificates and credentials.
 * `path` begins with a slash; the transport adds what authenticates. It rejects with `UnsentError`
 * (`kube-error.ts`) when it knows that no byte of the request left.
 */
export type KubeFetch = (path: string, init: RequestInit) => Promise<Response>;
