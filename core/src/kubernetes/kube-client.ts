import { systemClock, type Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import type {
  KubeCall,
  KubeClient,
  KubeFetch,
  ListQuery,
  ObjectList,
  ObjectRef,
  Removal,
  RemoveOptions,
  Resource,
  WatchQuery,
  WriteOptions,
} from "./client.ts";
import { errorOfResponse, errorOfTransport, jsonOfResponse, type KubeStatus } from "./kube-answer.ts";
import { KubeError, isNotFound } from "./kube-error.ts";
import { retryPauseMs } from "./kube-retry.ts";
import type { KubeObject } from "./object.ts";
import {
  collectionPath,
  creationPath,
  listParameters,
  objectPath,
  removalBody,
  watchParameters,
  writeParameters,
} from "./resource-path.ts";
import { apiVersionOf } from "./resources.ts";
import { decodeWatch } from "./watch-stream.ts";

export type KubeVerb = "get" | "list" | "watch" | "create" | "update" | "apply" | "patch" | "delete";

/** One request as it went over the wire: repetitions count anew. */
export interface KubeRequestRecord {
  readonly verb: KubeVerb;
  /** Plural of the resource, with a slash and the subresource where there is one; empty for `text`. */
  readonly resource: string;
  /** HTTP status; 0 = no answer. */
  readonly status: number;
  /** Of a watch: until it began. */
  readonly durationMs: number;
}

export interface KubeClientOptions {
  readonly clock?: Clock;
  /** From 0 up to 1. */
  readonly random?: () => number;
  /** Longest a call may take, repetitions included; of a watch, until it begins. @default 30_000 */
  readonly timeoutMs?: number;
  readonly observe?: (record: KubeRequestRecord) => void;
}

interface KubeRequest {
  readonly verb: KubeVerb;
  readonly resource: string;
  readonly method: string;
  readonly path: string;
  readonly contentType?: string;
  readonly body?: object;
}

const JSON_TYPE = "application/json";

/** The Kubernetes API over any fetch. */
export function createKubeClient(fetch: KubeFetch, options: KubeClientOptions = {}): KubeClient {
  const send = createSender(fetch, options);

  const write = <T extends KubeObject>(
    resource: Resource<T>,
    request: Omit<KubeRequest, "resource" | "method">,
    call: KubeCall,
    { subresource }: WriteOptions,
  ): Promise<T> =>
    send(
      call,
      { ...request, resource: nameOf(resource, subresource), method: METHODS[request.verb] },
      jsonOfResponse<T>,
    );

  return {
    async get<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, call: KubeCall) {
      return send(call, read("get", resource.plural, objectPath(resource, ref)), jsonOfResponse<T>);
    },

    async list<T extends KubeObject>(resource: Resource<T>, query: ListQuery, call: KubeCall) {
      const path = collectionPath(resource, query.namespace) + listParameters(query);
      const answer = await send(call, read("list", resource.plural, path), jsonOfResponse<RawList<T>>);
      return listOf(answer);
    },

    async create(resource, object, call, options = {}) {
      const path = creationPath(resource, object.metadata.namespace) + writeParameters(options);
      return write(resource, { verb: "create", path, body: typed(resource, object) }, call, options);
    },

    async replace(resource, object, call, options = {}) {
      const path = objectPath(resource, object.metadata, options.subresource) + writeParameters(options);
      return write(resource, { verb: "update", path, body: typed(resource, object) }, call, options);
    },

    async apply(resource, object, call, options) {
      const { subresource, force = true } = options;
      const path = objectPath(resource, object.metadata, subresource) + writeParameters(options, force);
      // JSON is YAML: the API server asks for this type whatever the body is written in.
      const contentType = "application/apply-patch+yaml";
      return write(resource, { verb: "apply", path, contentType, body: typed(resource, object) }, call, options);
    },

    async patch(resource, ref, patch, call, options = {}) {
      const path = objectPath(resource, ref, options.subresource) + writeParameters(options);
      const contentType = Array.isArray(patch) ? "application/json-patch+json" : "application/merge-patch+json";
      return write(resource, { verb: "patch", path, contentType, body: patch }, call, options);
    },

    async remove<T extends KubeObject>(
      resource: Resource<T>,
      ref: ObjectRef,
      call: KubeCall,
      options: RemoveOptions = {},
    ) {
      const path = objectPath(resource, ref);
      const request = { ...read("delete", resource.plural, path), body: removalBody(options) };
      try {
        return removalOf(await send(call, request, jsonOfResponse<T & KubeStatus>));
      } catch (error) {
        if (isNotFound(error)) return { kind: "absent" };
        throw error;
      }
    },

    async *watch<T extends KubeObject>(resource: Resource<T>, query: WatchQuery, call: KubeCall) {
      const path = collectionPath(resource, query.namespace) + watchParameters(query);
      const body = await send(call, read("watch", resource.plural, path), bodyOf);
      yield* decodeWatch<T>(body, call.signal);
    },

    text: (path, call) => send(call, read("get", "", path), (response) => response.text()),
  };
}

const METHODS: Readonly<Record<KubeVerb, string>> = {
  get: "GET",
  list: "GET",
  watch: "GET",
  create: "POST",
  update: "PUT",
  apply: "PATCH",
  patch: "PATCH",
  delete: "DELETE",
};

type Send = <T>(
  call: KubeCall,
  request: KubeRequest,
  take: (response: Response, what: string) => Promise<T>,
) => Promise<T>;

/** Makes a request until it succeeds, fails for good, or its time is over. */
function createSender(fetch: KubeFetch, options: KubeClientOptions): Send {
  const { clock = systemClock, random = Math.random, timeoutMs = 30_000 } = options;
  const once = createAttempt(fetch, clock, options.observe);

  return async (call, request, take) => {
    const what = `${request.method} ${request.path.split("?", 1)[0]}`;
    const late = () =>
      new KubeError(0, `The API server did not answer ${what} within ${timeoutMs} ms`, { reason: "Timeout" });
    const untilMs = clock.now() + timeoutMs;
    return withDeadline({ clock, timeoutMs, signal: call.signal, late }, async (signal) => {
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await once(request, what, signal, take);
        } catch (error) {
          // Who watches decides himself when to begin again.
          if (signal.aborted || request.verb === "watch") throw error;
          const pauseMs = retryPauseMs(error, attempt, request.method === "GET", random);
          if (pauseMs === undefined || clock.now() + pauseMs >= untilMs) throw error;
          await clock.sleep(pauseMs, signal);
        }
      }
    });
  };
}

type Attempt = <T>(
  request: KubeRequest,
  what: string,
  signal: AbortSignal,
  take: (response: Response, what: string) => Promise<T>,
) => Promise<T>;

function createAttempt(fetch: KubeFetch, clock: Clock, observe: KubeClientOptions["observe"]): Attempt {
  return async (request, what, signal, take) => {
    const startMs = clock.now();
    let status = 0;
    try {
      const response = await fetch(request.path, initOf(request, signal));
      status = response.status;
      if (!response.ok) throw await errorOfResponse(response, what);
      return await take(response, what);
    } catch (error) {
      throw errorOfTransport(error, what);
    } finally {
      const { verb, resource } = request;
      observe?.({ verb, resource, status, durationMs: clock.now() - startMs });
    }
  };
}

function initOf({ method, contentType, body }: KubeRequest, signal: AbortSignal): RequestInit {
  const headers: Record<string, string> = { accept: JSON_TYPE };
  if (body === undefined) return { method, headers, signal };
  headers["content-type"] = contentType ?? JSON_TYPE;
  return { method, headers, signal, body: JSON.stringify(body) };
}

function read(verb: KubeVerb, resource: string, path: string): KubeRequest {
  return { verb, resource, method: METHODS[verb], path };
}

function nameOf(resource: Resource<KubeObject>, subresource: string | undefined): string {
  return subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
}

/** Objects of a list come without their kind, and programs need not repeat it: the API server wants it. */
function typed<T extends KubeObject>(resource: Resource<T>, object: T): object {
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

interface RawList<T> {
  readonly items?: readonly T[] | null;
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

function listOf<T extends KubeObject>({ items, metadata }: RawList<T>): ObjectList<T> {
  const { resourceVersion = "", continue: next } = metadata ?? {};
  return { items: items ?? [], resourceVersion, ...(next === undefined || next === "" ? {} : { continue: next }) };
}

/** The API server answers with the object when it stays, and for some kinds also when it was the last of it. */
function removalOf<T extends KubeObject>(answer: T & KubeStatus): Removal<T> {
  if (answer.kind === "Status") {
    const uid = answer.details?.uid;
    return uid === undefined ? { kind: "removed" } : { kind: "removed", uid };
  }
  if (isGoing(answer)) return { kind: "going", object: answer };
  return answer.metadata.uid === undefined ? { kind: "removed" } : { kind: "removed", uid: answer.metadata.uid };
}

function isGoing({ metadata }: KubeObject): boolean {
  if (metadata.deletionTimestamp === undefined) return false;
  return (metadata.finalizers?.length ?? 0) > 0 || metadata.deletionGracePeriodSeconds !== 0;
}

async function bodyOf(response: Response): Promise<ReadableStream<Uint8Array>> {
  if (response.body === null) throw new KubeError(0, "The watch has no body", { reason: "BadAnswer" });
  return response.body;
}
