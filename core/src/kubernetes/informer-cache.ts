import type { ObjectList, WatchEvent } from "./client.ts";
import type { ChangeListener } from "./informer-port.ts";
import { createObjectIndex, type IndexFunctions } from "./object-index.ts";
import { keyOf } from "./object-key.ts";
import type { KubeObject } from "./object.ts";
import { compareResourceVersions, isNewerVersion } from "./resource-version.ts";

/** The state of an informer without its waits: what is known, how far, and which own writes the stream has yet to tell. */
export interface InformerCache<T extends KubeObject> {
  get(key: string): T | undefined;
  values(): IterableIterator<T>;
  readonly size: number;
  byIndex(index: string, value: string): readonly T[];
  /** Version to watch from; undefined = a list is needed. */
  readonly version: string | undefined;
  /** Says that a list begins: own writes from here on may be newer than what it brings. */
  beginList(): void;
  /** Replaces all at once by the list begun last. */
  replace(list: ObjectList<T>): void;
  /** Takes over one event of the stream. */
  handle(event: WatchEvent<T>): void;
  /** Forgets how far the stream is; what is cached stays until the next list. */
  expire(): void;
  upsert(object: T): void;
  drop(key: string, uid: string): void;
}

/**
 * Rules: a key never goes back to an older version while the stream tells what an own write has told
 * already; an object that was removed for good never comes back, as its uid is never given again;
 * a list is the truth about all that was there when it was read.
 */
export function createInformerCache<T extends KubeObject>(
  notify: ChangeListener<T>,
  functions: IndexFunctions<T> = {},
): InformerCache<T> {
  let objects = new Map<string, T>();
  let index = createObjectIndex(functions);
  /** How far the stream is, bookmarks included. */
  let version: string | undefined;
  let isListNeeded = true;
  /** The last event of the stream: a bookmark ahead of its events must not hide them. */
  let eventVersion: string | undefined;
  /** Own writes since the list under way began; undefined while there is none. */
  let writesSinceList: Map<string, T> | undefined;
  /** Uids of own removals that the stream has not told yet; true = from before the list under way began. */
  const dropped = new Map<string, boolean>();
  /** Last version of what was removed so, by key: what is older was another of its name. */
  const ended = new Map<string, string>();

  const put = (key: string, object: T): void => {
    const before = objects.get(key);
    objects.set(key, object);
    index.move(before, object);
    notify(key, object, before);
  };
  const remove = (key: string): void => {
    const before = objects.get(key);
    if (before === undefined) return;
    objects.delete(key);
    index.move(before, undefined);
    notify(key, undefined, before);
  };
  const isDropped = (object: T): boolean => dropped.size > 0 && dropped.has(object.metadata.uid ?? "");

  /** The newest version that anybody was shown of this key, as far as the stream has not told it. */
  const shown = (key: string): string | undefined => objects.get(key)?.metadata.resourceVersion ?? ended.get(key);
  const isOlder = (version: string | undefined, key: string): boolean =>
    (compareResourceVersions(version, shown(key)) ?? 1) < 0;

  const advance = (to: string | undefined): void => {
    if (to === undefined || to === "") return;
    const order = compareResourceVersions(to, version);
    // Versions that cannot be compared: the stream's own order is all there is.
    if (order === undefined || order > 0) version = to;
  };

  return {
    get: (key) => objects.get(key),
    values: () => objects.values(),
    get size() {
      return objects.size;
    },
    byIndex: (name, value) => index.find(name, value),
    get version() {
      return isListNeeded ? undefined : version;
    },

    beginList() {
      writesSinceList = new Map();
      for (const uid of dropped.keys()) dropped.set(uid, true);
      // What it brings was read after these removals.
      ended.clear();
    },

    replace(list) {
      const writes = writesSinceList ?? new Map<string, T>();
      writesSinceList = undefined;
      const next = new Map<string, T>();
      for (const object of list.items) {
        if (dropped.get(object.metadata.uid ?? "") === false) continue;
        const key = keyOf(object);
        if (isNewerVersion(ended.get(key), object.metadata.resourceVersion)) continue;
        const before = objects.get(key);
        // The same state keeps its object: whoever compares by identity sees no change.
        next.set(key, before !== undefined && isSame(before, object) ? before : object);
      }
      for (const [key, object] of writes) {
        const listed = next.get(key)?.metadata.resourceVersion ?? list.resourceVersion;
        if (isNewerVersion(object.metadata.resourceVersion, listed) && !isDropped(object)) next.set(key, object);
      }
      // A list read after the removal knows of it; from here on the stream tells nothing older.
      for (const [uid, isBefore] of dropped) if (isBefore) dropped.delete(uid);
      for (const [key, last] of ended) if (!isNewerVersion(last, list.resourceVersion)) ended.delete(key);

      const previous = objects;
      objects = next;
      index = createObjectIndex(functions);
      for (const object of next.values()) index.move(undefined, object);
      version = list.resourceVersion;
      eventVersion = list.resourceVersion;
      isListNeeded = false;

      for (const [key, before] of previous) if (!next.has(key)) notify(key, undefined, before);
      for (const [key, object] of next) {
        const before = previous.get(key);
        if (before !== object) notify(key, object, before);
      }
    },

    handle(event) {
      if (event.kind === "bookmark") return advance(event.resourceVersion);
      const { object } = event;
      const told = object.metadata.resourceVersion;
      const order = compareResourceVersions(told, eventVersion);
      if (order !== undefined && order <= 0) return;
      eventVersion = told;
      advance(told);
      const key = keyOf(object);
      const isOld = isOlder(told, key);
      if (!isOld) ended.delete(key);
      if (event.kind === "deleted") {
        dropped.delete(object.metadata.uid ?? "");
        if (!isOld) remove(key);
      } else if (!isOld && told !== objects.get(key)?.metadata.resourceVersion && !isDropped(object)) {
        put(key, object);
      }
    },

    expire() {
      isListNeeded = true;
    },

    upsert(object) {
      const written = object.metadata.resourceVersion;
      const key = keyOf(object);
      // Where versions do not compare nobody can tell whether the stream was faster: it will tell.
      if (compareResourceVersions(written, written) === undefined || isDropped(object)) return;
      if (!isNewerVersion(written, version) || !isNewerVersion(written, shown(key))) return;
      writesSinceList?.set(key, object);
      put(key, object);
    },

    drop(key, uid) {
      const cached = objects.get(key)?.metadata;
      const isCached = cached?.uid === uid;
      // Not cached and no list under way: the stream was faster, and would never clear the note.
      if (isCached || writesSinceList !== undefined) dropped.set(uid, false);
      if (!isCached) return;
      if (isNewerVersion(cached.resourceVersion, version)) ended.set(key, cached.resourceVersion ?? "");
      remove(key);
    },
  };
}

function isSame(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.resourceVersion === b.metadata.resourceVersion && a.metadata.uid === b.metadata.uid;
}
