import type { KubeFetch } from "#core/kubernetes/client.ts";
import { UnsentError } from "#core/kubernetes/kube-error.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";

/** An object of the model: a name, and a value to tell states apart. */
export interface ModelObject extends KubeObject {
  readonly value: number;
}

/** How the next request fails. */
export type ModelFault = "unsent" | "no-answer" | 429 | 500 | 503;

/**
 * Lists and watches of one kind in the API server's terms: versions, pages of one snapshot, a
 * history that can be compacted. Nothing flows by itself: the test says what each watch delivers.
 */
export interface ModelApiServer {
  readonly fetch: KubeFetch;
  readonly state: ReadonlyMap<string, ModelObject>;
  /** Version of the last removal of this name; 0 = never. */
  removedAt(name: string): number;
  put(name: string): ModelObject;
  /** The removed object, undefined when there was none. */
  remove(name: string): ModelObject | undefined;
  /** Sends up to `count` events to the open watch, in pieces of `pieceBytes`. */
  deliver(count: number, pieceBytes?: number): void;
  /** Sends the last `count` delivered events once more. */
  repeat(count: number): void;
  /** Something else was written: the version goes on without an event of this kind. */
  pass(): void;
  /** Sends a bookmark for what was delivered; `behind` = for an older version. */
  bookmark(behind: number): void;
  /** Ends the open watch: as watches end, or in the middle of an event. */
  end(how: "clean" | "cut" | "expired"): void;
  /** Forgets history: new watches from, and further pages of, older versions are refused. */
  compact(): void;
  fail(faults: readonly ModelFault[]): void;
  /** Keeps answers back, as they were when asked, until `release`. */
  hold(): void;
  release(): void;
  readonly requests: readonly string[];
}

interface Watch {
  cursor: number;
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
}

interface Change {
  readonly version: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: ModelObject;
}

export function createModelApiServer(): ModelApiServer {
  const encoder = new TextEncoder();
  const state = new Map<string, ModelObject>();
  const requests: string[] = [];
  const history: Change[] = [];
  let version = 100;
  let oldest = 100;
  let uids = 0;
  let watch: Watch | undefined;
  let faults: ModelFault[] = [];
  let held: (() => void)[] | undefined;
  const snapshots = new Map<number, readonly ModelObject[]>();

  const record = (type: Change["type"], object: ModelObject): ModelObject => {
    history.push({ version, type, object });
    return object;
  };
  const send = (event: object, pieceBytes = Number.POSITIVE_INFINITY): void => {
    const bytes = encoder.encode(`${JSON.stringify(event)}\n`);
    for (let at = 0; at < bytes.length; at += pieceBytes) watch?.controller.enqueue(bytes.slice(at, at + pieceBytes));
  };
  const close = (): Watch | undefined => {
    const closed = watch;
    watch = undefined;
    return closed;
  };

  const list = (query: URLSearchParams): Response => {
    const [at = version, from = 0] = (query.get("continue") ?? "").split("/").filter(Boolean).map(Number);
    if (query.has("continue") && at < oldest) return status(410, "Expired");
    if (!snapshots.has(at)) snapshots.set(at, [...state.values()]);
    const items = snapshots.get(at) ?? [];
    const limit = Number(query.get("limit") ?? items.length);
    const isMore = from + limit < items.length;
    return Response.json({
      metadata: { resourceVersion: String(at), ...(isMore ? { continue: `${at}/${from + limit}` } : {}) },
      items: items.slice(from, from + limit),
    });
  };
  const open = (query: URLSearchParams): Response => {
    const from = Number(query.get("resourceVersion"));
    if (from < oldest) return status(410, "Expired");
    close()?.controller.close();
    let mine: Watch | undefined;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        mine = { cursor: from, controller };
        watch = mine;
      },
      cancel: () => {
        if (watch === mine) watch = undefined;
      },
    });
    return new Response(body);
  };

  return {
    state,
    requests,
    async fetch(path, { signal }) {
      requests.push(path);
      const fault = faults.shift();
      if (fault === "unsent") throw new UnsentError("connection refused");
      if (fault === "no-answer") throw new Error("socket hang up");
      const query = new URL(path, "http://model").searchParams;
      const answer = fault === undefined ? (query.has("watch") ? open(query) : list(query)) : status(fault, "Fault");
      if (held !== undefined) await answered(held, signal ?? undefined);
      return answer;
    },
    removedAt: (name) =>
      history.findLast(({ type, object }) => type === "DELETED" && object.metadata.name === name)?.version ?? 0,
    put(name) {
      version += 1;
      const before = state.get(name);
      const uid = before?.metadata.uid ?? `uid-${(uids += 1)}`;
      const object = { metadata: { namespace: "n", name, uid, resourceVersion: String(version) }, value: version };
      state.set(name, object);
      return record(before === undefined ? "ADDED" : "MODIFIED", object);
    },
    remove(name) {
      const before = state.get(name);
      if (before === undefined) return undefined;
      version += 1;
      state.delete(name);
      record("DELETED", { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } });
      return before;
    },
    deliver(count, pieceBytes) {
      for (let left = count; left > 0 && watch !== undefined; left -= 1) {
        const { cursor } = watch;
        const change = history.find(({ version }) => version > cursor);
        if (change === undefined) return;
        watch.cursor = change.version;
        send({ type: change.type, object: change.object }, pieceBytes);
      }
    },
    repeat(count) {
      const { cursor = 0 } = watch ?? {};
      const delivered = history.filter(({ version }) => version <= cursor);
      for (const { type, object } of delivered.slice(-count)) send({ type, object });
    },
    pass() {
      version += 1;
    },
    bookmark(behind) {
      if (watch === undefined) return;
      const { cursor } = watch;
      const isAll = !history.some((change) => change.version > cursor);
      const resourceVersion = String(Math.max(100, (isAll ? version : cursor) - behind));
      send({ type: "BOOKMARK", object: { kind: "Model", metadata: { resourceVersion } } });
    },
    end(how) {
      if (how === "expired")
        send({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired", metadata: {} } });
      if (how === "cut") watch?.controller.enqueue(encoder.encode('{"type":"ADDED","object":{"metad'));
      close()?.controller.close();
    },
    compact() {
      // A watch that is open goes on: the API server keeps what it has yet to send.
      oldest = version;
      for (const at of snapshots.keys()) if (at < oldest) snapshots.delete(at);
    },
    fail(next) {
      faults = [...next];
    },
    hold() {
      held ??= [];
    },
    release() {
      const waiting = held ?? [];
      held = undefined;
      for (const go of waiting) go();
    },
  };
}

function answered(held: (() => void)[], signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    held.push(resolve);
  });
}

function status(code: number, reason: string): Response {
  return Response.json({ kind: "Status", code, reason, message: `${reason} ${code}` }, { status: code });
}
