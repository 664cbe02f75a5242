import fc from "fast-check";
import { expect, test } from "vitest";
import type { ObjectStore, StoredObject } from "#mounter/storage/port.ts";
import { chunked, collect, digestOf, sample } from "./samples.ts";

export interface Subject {
  readonly store: ObjectStore;
  /** Of the store's uploads. */
  readonly partBytes: number;
  /** Whether the store shows uploads that nobody finished. */
  readonly showsUploads: boolean;
}

const call = { signal: new AbortController().signal };
const always = { condition: { kind: "always" } } as const;
const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const word = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What every store does; `subject` is asked anew by each test, whose keys lie below a prefix of its own. */
export function checkStore(subject: () => Subject): void {
  let count = 0;
  const fresh = (): string => `test-${(count += 1)}`;
  const read = (store: ObjectStore, { key, version, sizeBytes }: Pick<StoredObject, "key" | "version" | "sizeBytes">) =>
    collect(store.read({ key, version }, { offset: 0, sizeBytes }, call));

  test.each([
    ["no byte", 0, 0],
    ["one byte", 0, 1],
    ["one part less a byte", 1, -1],
    ["one part", 1, 0],
    ["one part and a byte", 1, 1],
    ["several parts", 3, 4711],
  ])("upload() stores a stream of %s whole", async (_, parts, more) => {
    const { store, partBytes } = subject();
    const bytes = sample(parts * partBytes + more, 7);
    const key = `${fresh()}/data`;
    const seen: number[] = [];
    const options = { ...always, onProgress: (stored: number) => void seen.push(stored) };
    const written = await store.upload(key, chunked(bytes, 100_003), options, call);
    expect(written).toMatchObject({ key, sizeBytes: bytes.length });
    expect(digestOf(await read(store, written))).toBe(digestOf(bytes));
    expect(seen.at(-1)).toBe(bytes.length);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(await store.stat(key, call)).toMatchObject({ sizeBytes: bytes.length, version: written.version });
  });

  test("put() replaces; the version changes with the content", async () => {
    const { store } = subject();
    const key = fresh();
    const first = await store.put(key, text("one"), { kind: "always" }, call);
    const second = await store.put(key, text("two"), { kind: "always" }, call);
    expect(second.version).not.toBe(first.version);
    const { object, bytes } = await store.get(key, 100, call);
    expect([word(bytes), object.version]).toEqual(["two", second.version]);
    expect(Math.abs(object.modifiedAtMs - Date.now())).toBeLessThan(60_000);
  });

  test("put() if absent lets one of many through", async () => {
    const { store } = subject();
    const key = fresh();
    const writers = Array.from({ length: 8 }, (_, index) =>
      store.put(key, text(`w${index}`), { kind: "absent" }, call),
    );
    const outcomes = await Promise.allSettled(writers);
    const won = outcomes.flatMap((outcome, index) => (outcome.status === "fulfilled" ? [`w${index}`] : []));
    expect(won).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ name: "StoreError", kind: "changed" });
    expect([word((await store.get(key, 100, call)).bytes)]).toEqual(won);
  });

  test("put() if unchanged refuses what was replaced or removed", async () => {
    const { store } = subject();
    const key = fresh();
    const { version } = await store.put(key, text("one"), { kind: "always" }, call);
    const next = await store.put(key, text("two"), { kind: "unchanged", version }, call);
    const stale = store.put(key, text("three"), { kind: "unchanged", version }, call);
    await expect(stale).rejects.toMatchObject({ kind: "changed" });
    expect(word((await store.get(key, 100, call)).bytes)).toBe("two");
    await store.remove(key, {}, call);
    const late = store.put(key, text("four"), { kind: "unchanged", version: next.version }, call);
    await expect(late).rejects.toMatchObject({ kind: "changed" });
    await expect(store.stat(key, call)).rejects.toMatchObject({ kind: "absent" });
  });

  test("put() if unchanged loses no update of many writers", async () => {
    const { store } = subject();
    const key = fresh();
    await store.put(key, text("0"), { kind: "always" }, call);
    const increment = async (): Promise<void> => {
      for (;;) {
        const { object, bytes } = await store.get(key, 100, call);
        const condition = { kind: "unchanged", version: object.version } as const;
        try {
          await store.put(key, text(String(Number(word(bytes)) + 1)), condition, call);
          return;
        } catch (error) {
          expect(error).toMatchObject({ kind: "changed" });
        }
      }
    };
    await Promise.all(Array.from({ length: 6 }, async () => [await increment(), await increment()]));
    expect(word((await store.get(key, 100, call)).bytes)).toBe("12");
  });

  test("upload() keeps its condition, and leaves nothing when it does not hold", async () => {
    const { store, partBytes, showsUploads } = subject();
    const prefix = fresh();
    const key = `${prefix}/data`;
    const bytes = sample(partBytes * 2 + 5);
    const first = await store.upload(key, chunked(bytes), { condition: { kind: "absent" } }, call);
    const again = store.upload(key, chunked(sample(partBytes * 2)), { condition: { kind: "absent" } }, call);
    await expect(again).rejects.toMatchObject({ kind: "changed" });
    expect((await store.stat(key, call)).version).toBe(first.version);
    const { version } = first;
    const next = await store.upload(
      key,
      chunked(sample(partBytes + 9)),
      { condition: { kind: "unchanged", version } },
      call,
    );
    expect(next.version).not.toBe(version);
    const stale = store.upload(key, chunked(bytes), { condition: { kind: "unchanged", version } }, call);
    await expect(stale).rejects.toMatchObject({ kind: "changed" });
    if (showsUploads) expect((await store.listUploads(prefix, {}, call)).items).toEqual([]);
  });

  test("get() refuses what is absent or too large", async () => {
    const { store } = subject();
    const key = `${fresh()}/x`;
    await expect(store.get(key, 100, call)).rejects.toMatchObject({
      kind: "absent",
      message: expect.stringContaining(key),
    });
    await store.put(key, sample(101), { kind: "always" }, call);
    await expect(store.get(key, 100, call)).rejects.toMatchObject({ kind: "invalid" });
    expect((await store.get(key, 101, call)).bytes).toEqual(sample(101));
  });

  test("read() brings exactly the range asked for", async () => {
    const { store } = subject();
    const bytes = sample(300_000, 3);
    const written = await store.put(fresh(), bytes, { kind: "always" }, call);
    const ranges = fc
      .tuple(fc.nat(bytes.length), fc.nat(bytes.length))
      .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
    const check = async ([from, to]: readonly [number, number]): Promise<void> => {
      const range = { offset: from, sizeBytes: to - from };
      expect(digestOf(await collect(store.read(written, range, call)))).toBe(digestOf(bytes.subarray(from, to)));
    };
    await fc.assert(fc.asyncProperty(ranges, check), { numRuns: 20 });
  });

  test("read() of a version that was replaced or removed is changed", async () => {
    const { store } = subject();
    const key = fresh();
    const old = await store.put(key, sample(1000, 1), { kind: "always" }, call);
    await store.put(key, sample(1000, 2), { kind: "always" }, call);
    await expect(read(store, old)).rejects.toMatchObject({ kind: "changed" });
    await store.remove(key, {}, call);
    await expect(read(store, old)).rejects.toMatchObject({ kind: "changed" });
  });

  test("list() brings all below a prefix in order, page by page", async () => {
    const { store } = subject();
    const prefix = fresh();
    const keys = ["a-b", "a.json", "a/b", "a/c/d", "a0", "b"].map((key) => `${prefix}/${key}`);
    await Promise.all(keys.map((key) => store.put(key, text(key), { kind: "always" }, call)));
    await store.put(`${prefix}-not`, text("x"), { kind: "always" }, call);
    const found: StoredObject[] = [];
    let cursor: string | undefined;
    do {
      const page = await store.list(`${prefix}/`, { limit: 2, ...(cursor === undefined ? {} : { cursor }) }, call);
      expect(page.items.length).toBeLessThanOrEqual(2);
      found.push(...page.items);
      cursor = page.next;
    } while (cursor !== undefined);
    expect(found.map(({ key }) => key)).toEqual(keys.toSorted());
    for (const { key, ...rest } of found)
      expect(await store.stat(key, call)).toMatchObject({ version: rest.version, sizeBytes: key.length });
    expect((await store.list(`${prefix}/a/`, {}, call)).items.map(({ key }) => key)).toEqual([
      `${prefix}/a/b`,
      `${prefix}/a/c/d`,
    ]);
    expect((await store.list(`${prefix}/nothing`, {}, call)).items).toEqual([]);
  });

  test("remove() is done when it is done, and spares another version", async () => {
    const { store } = subject();
    const key = `${fresh()}/x`;
    await store.remove(key, {}, call);
    await store.remove(
      key,
      { version: (await store.put(`${key}2`, text("x"), { kind: "always" }, call)).version },
      call,
    );
    const old = await store.put(key, text("one"), { kind: "always" }, call);
    const now = await store.put(key, text("two"), { kind: "always" }, call);
    await expect(store.remove(key, { version: old.version }, call)).rejects.toMatchObject({ kind: "changed" });
    expect(word((await store.get(key, 9, call)).bytes)).toBe("two");
    await store.remove(key, { version: now.version }, call);
    await expect(store.get(key, 9, call)).rejects.toMatchObject({ kind: "absent" });
    await store.remove(key, {}, call);
  });

  test.each(["signal", "source", "hanging source"])("upload() that its %s ends leaves nothing", async (reason) => {
    const { store, partBytes, showsUploads } = subject();
    const prefix = fresh();
    const key = `${prefix}/data`;
    const abort = new AbortController();
    const why = new Error("enough");
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield* chunked(sample(partBytes * 2 + 1));
      if (reason === "source") throw why;
      abort.abort(why);
      if (reason === "hanging source") await new Promise<never>(() => undefined);
      yield* chunked(sample(partBytes));
    };
    await expect(store.upload(key, source(), always, { signal: abort.signal })).rejects.toBe(why);
    await expect(store.stat(key, call)).rejects.toMatchObject({ kind: "absent" });
    if (showsUploads) expect((await store.listUploads(prefix, {}, call)).items).toEqual([]);
  });

  test("readers beside writers see one version whole", async () => {
    const { store } = subject();
    const key = fresh();
    const sizeBytes = 200_000;
    const versions = [sample(sizeBytes, 11), sample(sizeBytes, 12), sample(sizeBytes, 13)];
    const digests = new Set(versions.map(digestOf));
    await store.put(key, versions[0] ?? text(""), { kind: "always" }, call);
    let isOver = false;
    const write = async (): Promise<void> => {
      for (let round = 0; round < 12; round += 1)
        await store.put(key, versions[round % 3] ?? text(""), { kind: "always" }, call);
      isOver = true;
    };
    const readAll = async (): Promise<void> => {
      while (!isOver) {
        const object = await store.stat(key, call);
        try {
          const halves = [
            await collect(store.read(object, { offset: 0, sizeBytes: sizeBytes / 2 }, call)),
            await collect(store.read(object, { offset: sizeBytes / 2, sizeBytes: sizeBytes / 2 }, call)),
          ];
          expect(digests).toContain(digestOf(Buffer.concat(halves)));
        } catch (error) {
          expect(error).toMatchObject({ kind: "changed" });
        }
      }
    };
    await Promise.all([write(), readAll(), readAll()]);
  });

  test.each(["", "/a", "a/", "a//b", "..", "a/../b", ".a", "a/.part-x", "a\\b", "a\0b", "ä", `${"a/".repeat(500)}a`])(
    "refuses the key %j",
    async (key) => {
      const { store } = subject();
      const refusal = { kind: "invalid", message: expect.stringContaining(store.name) };
      await expect(store.put(key, text("x"), { kind: "always" }, call)).rejects.toMatchObject(refusal);
      await expect(store.upload(key, chunked(text("x")), always, call)).rejects.toMatchObject(refusal);
      await expect(store.get(key, 9, call)).rejects.toMatchObject(refusal);
      await expect(store.remove(key, {}, call)).rejects.toMatchObject(refusal);
    },
  );
}
