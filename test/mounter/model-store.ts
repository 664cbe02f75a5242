import { createHash } from "node:crypto";
import type { ObjectStore, Page, PutCondition, StoredObject } from "#mounter/storage/port.ts";
import { StoreError } from "#mounter/storage/store-error.ts";

/** Objects as a perfect store keeps them; its clock is whatever moves it. */
export interface ModelObjects {
  readonly objects: Map<string, StoredObject & { readonly bytes: Uint8Array }>;
  nowMs: number;
  versions: number;
}

export function createModelObjects(): ModelObjects {
  return { objects: new Map(), nowMs: 1_700_000_000_000, versions: 0 };
}

/** Asked before and after each thing a store does; what it throws is what the caller sees. */
export type Step = (when: "before" | "after", what: string) => Promise<void>;

/** A client of the model. What happens between its steps happens at once. */
export function createModelStore(
  model: ModelObjects,
  step: Step = () => Promise.resolve(),
  { readsBack = false } = {},
): ObjectStore {
  const { objects } = model;
  const doing = async <T>(what: string, effect: () => T): Promise<T> => {
    await step("before", what);
    const done = effect();
    await step("after", what);
    return done;
  };
  const find = (key: string) => {
    const found = objects.get(key);
    if (found === undefined) throw new StoreError("absent", `There is no ${key}.`);
    return found;
  };
  const write = (key: string, bytes: Uint8Array, condition: PutCondition) => {
    const version = objects.get(key)?.version;
    const isMet =
      condition.kind === "always" ||
      (condition.kind === "absent" ? version === undefined : version === condition.version);
    if (!isMet) throw new StoreError("changed", `${key} is another.`);
    const next = {
      key,
      sizeBytes: bytes.length,
      version: `v${(model.versions += 1)}`,
      modifiedAtMs: model.nowMs,
      bytes,
    };
    objects.set(key, next);
    return next;
  };
  return {
    name: "model",
    readsBack,
    async upload(key, source, { condition, onProgress }) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of source) chunks.push(chunk);
      const written = await doing(`upload ${key}`, () => write(key, new Uint8Array(Buffer.concat(chunks)), condition));
      onProgress?.(written.sizeBytes);
      return written;
    },
    put: (key, bytes, condition) => doing(`put ${key}`, () => write(key, bytes, condition)),
    get: (key, mostBytes) =>
      doing(`get ${key}`, () => {
        const object = find(key);
        if (object.sizeBytes > mostBytes) throw new StoreError("invalid", `${key} has ${object.sizeBytes} bytes.`);
        return { object, bytes: object.bytes };
      }),
    async *read({ key, version }, { offset, sizeBytes }) {
      yield await doing(`read ${key}`, () => {
        const object = objects.get(key);
        if (object?.version !== version) throw new StoreError("changed", `${key} is another.`);
        return object.bytes.slice(offset, offset + sizeBytes);
      });
    },
    stat: (key) => doing(`stat ${key}`, () => find(key)),
    list: (prefix, { cursor = "", limit = 3 }) =>
      doing(`list ${prefix}`, (): Page<StoredObject> => {
        const found = [...objects.values()]
          .filter(({ key }) => key.startsWith(prefix) && key > cursor)
          .toSorted((a, b) => (a.key < b.key ? -1 : 1));
        const items = found.slice(0, limit);
        const last = items.at(-1);
        return items.length < found.length && last !== undefined ? { items, next: last.key } : { items };
      }),
    remove: (key, { version }) =>
      doing(`remove ${key}`, () => {
        const found = objects.get(key);
        if (found !== undefined && version !== undefined && found.version !== version)
          throw new StoreError("changed", `${key} is another.`);
        objects.delete(key);
      }),
    listUploads: async () => ({ items: [] }),
    abortUpload: async () => undefined,
    close() {},
  };
}

/** Faults of what stands under a prefix: manifests that name what is not there, or is not what they say. */
export function brokenLayers(
  { objects }: ModelObjects,
  read: (bytes: Uint8Array) => readonly { key: string; digest: string }[],
): string[] {
  return [...objects.values()]
    .filter(({ key }) => key.endsWith(".json"))
    .flatMap(({ key: manifest, bytes }) =>
      read(bytes)
        .filter(({ key, digest }) => {
          const layer = objects.get(key);
          return layer === undefined || `sha256:${createHash("sha256").update(layer.bytes).digest("hex")}` !== digest;
        })
        .map(({ key }) => `${manifest} names ${key}`),
    );
}
