import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { ObjectStore } from "#mounter/storage/port.ts";
import { startFaultProxy, type Fault, type FaultProxy } from "./fault-proxy.ts";
import { chunked, collect, digestOf, sample } from "./samples.ts";
import { openTestStore, SMALL_PARTS, type ServerKind, type StoreServer } from "./servers.ts";

const call = { signal: new AbortController().signal };
const PATIENCE = { attemptMs: 4000, stallMs: 500, attempts: 3 };
const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const word = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const isWrite = ({ method }: { method: string }): boolean => method === "PUT" || method === "POST";
const isRead = ({ method }: { method: string }): boolean => method === "GET";

/** What a store of a kind does while network and server fail, one fault at a time. */
export function checkFaults(kind: ServerKind, serverOf: () => StoreServer): void {
  let proxy: FaultProxy;
  let store: ObjectStore;
  let straight: ObjectStore;
  const rules = SMALL_PARTS[kind];
  const { partBytes = 0 } = rules;
  let count = 0;
  const fresh = (): string => `fault-${(count += 1)}/data`;

  beforeAll(async () => {
    const { origin, credentials, url } = serverOf();
    proxy = await startFaultProxy(origin);
    store = await openTestStore(url(proxy.origin, "x"), { credentials, rules, patience: PATIENCE });
    straight = await openTestStore(url(origin, "x"), { credentials, rules });
  });
  afterEach(() => proxy.clear());
  afterAll(async () => {
    store?.close();
    straight?.close();
    await proxy?.close();
  });

  const faults: readonly Fault[] = [
    { kind: "status", status: 503 },
    { kind: "status", status: 429 },
    { kind: "status", status: 500 },
    { kind: "reset" },
    { kind: "lost-answer" },
    { kind: "silence" },
    { kind: "corrupt" },
  ];
  const named = faults.map(
    (fault) => [fault.kind === "status" ? `status ${fault.status}` : fault.kind, fault] as const,
  );

  test.each(named)("put() if absent is done in spite of %s, and knows its own write", async (_, fault) => {
    const key = fresh();
    const hits = proxy.add(fault, { matches: (asked) => isWrite(asked) && asked.bodyBytes > 0 });
    const bytes = sample(10_000, 5);
    const written = await settled(store.put(key, bytes, { kind: "absent" }, call));
    expect(hits()).toBe(1);
    if (written !== undefined) {
      const found = await straight.get(key, 20_000, call);
      expect(digestOf(found.bytes)).toBe(digestOf(bytes));
      expect(found.object.version).toBe(written.version);
    } else {
      // Only what was changed on its way may be refused for good; then nothing is there.
      expect(fault.kind).toBe("corrupt");
      await expect(straight.stat(key, call)).rejects.toMatchObject({ kind: "absent" });
    }
  });

  test.each(named)("upload() in parts is whole in spite of %s", async (_, fault) => {
    const key = fresh();
    const bytes = sample(partBytes * 3 + 77, 6);
    const isPart = (asked: { method: string; bodyBytes: number }): boolean =>
      isWrite(asked) && asked.bodyBytes >= partBytes;
    const hits = proxy.add(fault, { matches: isPart });
    const written = await settled(store.upload(key, chunked(bytes), { condition: { kind: "absent" } }, call));
    expect(hits()).toBe(1);
    if (written === undefined) {
      expect(fault.kind).toBe("corrupt");
      await expect(straight.stat(key, call)).rejects.toMatchObject({ kind: "absent" });
      return;
    }
    const range = { offset: 0, sizeBytes: bytes.length };
    expect(digestOf(await collect(straight.read(written, range, call)))).toBe(digestOf(bytes));
  });

  test.each([named[0], named[3], named[4], named[5]].flatMap((each) => (each === undefined ? [] : [each])))(
    "upload() is completed in spite of %s at its very end",
    async (_, fault) => {
      const key = fresh();
      const bytes = sample(partBytes * 2 + 77, 8);
      // The last request that writes, whatever it is called: the list of parts, or the last part itself.
      const isLast = ({ method, path, bodyBytes }: { method: string; path: string; bodyBytes: number }): boolean =>
        kind === "s3"
          ? method === "POST" && path.includes("uploadId=")
          : kind === "azure"
            ? path.includes("comp=blocklist")
            : bodyBytes === 77;
      const hits = proxy.add(fault, { matches: isLast });
      const written = await store.upload(key, chunked(bytes), { condition: { kind: "absent" } }, call);
      expect(hits()).toBe(1);
      const range = { offset: 0, sizeBytes: bytes.length };
      expect(digestOf(await collect(straight.read(written, range, call)))).toBe(digestOf(bytes));
    },
  );

  test.each<Fault>([
    { kind: "status", status: 503 },
    { kind: "reset" },
    { kind: "lost-answer" },
    { kind: "truncate" },
    { kind: "stall" },
    { kind: "silence" },
    { kind: "slow", pauseMs: 100 },
  ])("read() and get() are right in spite of %j", async (fault) => {
    const key = fresh();
    const bytes = sample(900_000, 9);
    const written = await straight.put(key, bytes, { kind: "always" }, call);
    const hits = proxy.add(fault, { matches: isRead, times: 2 });
    const range = { offset: 1000, sizeBytes: 800_000 };
    expect(digestOf(await collect(store.read(written, range, call)))).toBe(digestOf(bytes.subarray(1000, 801_000)));
    if (hits() < 2) expect(digestOf((await store.get(key, 1_000_000, call)).bytes)).toBe(digestOf(bytes));
    expect(hits()).toBeGreaterThan(0);
    proxy.clear();
    proxy.add(fault, { matches: isRead });
    expect(digestOf((await store.get(key, 1_000_000, call)).bytes)).toBe(digestOf(bytes));
  });

  test("read() of an object that is replaced while it is cut is changed, and mixes nothing", async () => {
    const key = fresh();
    const bytes = sample(900_000, 9);
    const written = await straight.put(key, bytes, { kind: "always" }, call);
    const replace = async (): Promise<void> => {
      await straight.put(key, sample(900_000, 10), { kind: "always" }, call);
    };
    proxy.add({ kind: "truncate" }, { matches: isRead });
    proxy.add({ kind: "reset" }, { matches: isRead, onHit: replace });
    const seen: Uint8Array[] = [];
    const reading = async (): Promise<void> => {
      for await (const chunk of store.read(written, { offset: 0, sizeBytes: bytes.length }, call)) seen.push(chunk);
    };
    await expect(reading()).rejects.toMatchObject({ kind: "changed" });
    const got = Buffer.concat(seen);
    expect(got.length).toBeGreaterThan(0);
    expect(digestOf(got)).toBe(digestOf(bytes.subarray(0, got.length)));
  });

  test.each<Fault>([{ kind: "status", status: 503 }, { kind: "reset" }, { kind: "silence" }])(
    "gives up after a bounded number of attempts: %j",
    async (fault) => {
      const key = fresh();
      proxy.add(fault, { times: 1000 });
      const before = proxy.requests();
      const failure = { kind: "unavailable", message: expect.stringMatching(/^Cannot .*\.$/) };
      await expect(store.put(key, text("x"), { kind: "always" }, call)).rejects.toMatchObject(failure);
      expect(proxy.requests() - before).toBe(PATIENCE.attempts);
    },
  );

  test("a refusal is told at once, with store and key and no credential", async () => {
    const key = fresh();
    proxy.add({ kind: "status", status: 403 }, { times: 1000 });
    const before = proxy.requests();
    const error = await store.get(key, 10, call).catch((cause: unknown) => cause);
    expect(proxy.requests() - before).toBe(1);
    expect(error).toMatchObject({ kind: "denied" });
    const { message } = error as Error;
    expect(message).toContain(key);
    expect(message).toContain("snapshots");
    const { credentials } = serverOf();
    if (credentials.kind === "inline")
      for (const secret of Object.values(credentials.values))
        expect(JSON.stringify([message, error])).not.toContain(secret);
  });

  test("remove() is done in spite of a lost answer", async () => {
    const key = fresh();
    const { version } = await straight.put(key, text("x"), { kind: "always" }, call);
    const hits = proxy.add({ kind: "lost-answer" }, { matches: ({ method }) => method === "DELETE" });
    await store.remove(key, { version }, call);
    expect(hits()).toBe(1);
    await expect(straight.stat(key, call)).rejects.toMatchObject({ kind: "absent" });
  });

  test("put() if unchanged in spite of a lost answer is one write", async () => {
    const key = fresh();
    const { version } = await straight.put(key, text("one"), { kind: "always" }, call);
    proxy.add({ kind: "lost-answer" }, { matches: isWrite });
    const written = await store.put(key, text("two"), { kind: "unchanged", version }, call);
    const found = await straight.get(key, 10, call);
    expect([word(found.bytes), found.object.version]).toEqual(["two", written.version]);
  });
}

/** A write that was refused as damaged is undefined; any other failure is thrown. */
async function settled<T>(write: Promise<T>): Promise<T | undefined> {
  try {
    return await write;
  } catch (error) {
    expect(error).toMatchObject({ kind: expect.stringMatching(/^(invalid|unavailable)$/) });
    return undefined;
  }
}
