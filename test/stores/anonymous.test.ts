import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { ObjectStore } from "#mounter/storage/port.ts";
import { startFaultProxy, type FaultProxy } from "./fault-proxy.ts";
import { chunked, collect, digestOf, sample } from "./samples.ts";
import {
  letEverybodyIn,
  openTestStore,
  S3_KEYS,
  SMALL_PARTS,
  startServer,
  type ServerKind,
  type StoreServer,
} from "./servers.ts";

const call = { signal: new AbortController().signal };
/** Google's API looks at objects by GET, and only S3 and Google begin uploads. */
const METHODS: Readonly<Record<ServerKind, readonly string[]>> = {
  s3: ["DELETE", "GET", "HEAD", "POST", "PUT"],
  gcs: ["DELETE", "GET", "POST", "PUT"],
  azure: ["DELETE", "GET", "HEAD", "PUT"],
};
const NO_KEYS = Object.fromEntries(Object.keys(S3_KEYS).map((name) => [name, undefined]));

describe.each<ServerKind>(["s3", "gcs", "azure"])("%s store that is asked as nobody", (kind) => {
  const rules = SMALL_PARTS[kind];
  const bytes = sample((rules.partBytes ?? 0) * 2 + 77, 3);
  let server: StoreServer;
  let proxy: FaultProxy;
  /** Where this machine would learn who it is. */
  let identities: Server;
  let asked: string[] = [];

  beforeAll(async () => {
    server = await startServer(kind);
    await letEverybodyIn(server);
    proxy = await startFaultProxy(server.origin);
    identities = createServer(({ url = "" }, answer) => {
      asked.push(url);
      answer.writeHead(404).end();
    }).listen(0, "127.0.0.1");
    await once(identities, "listening");
  }, 60_000);
  afterEach(() => vi.unstubAllEnvs());
  afterAll(async () => {
    identities?.close();
    await proxy?.close();
    await server?.end();
  });

  /** The environment of a machine whose own identity is told at an address. */
  const atIdentities = (): Record<string, string | undefined> => {
    const { port } = identities.address() as AddressInfo;
    return {
      ...NO_KEYS,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/container`,
      GCE_METADATA_HOST: `127.0.0.1:${port}`,
      AZURE_POD_IDENTITY_AUTHORITY_HOST: `http://127.0.0.1:${port}`,
    };
  };
  const machines = [
    ["keys in its environment", (): Record<string, string | undefined> => S3_KEYS],
    ["an identity of its own", atIdentities],
  ] as const;

  test.each(machines)("gets requests without proof from a machine with %s", async (name, environment) => {
    for (const [variable, value] of Object.entries(environment())) vi.stubEnv(variable, value);
    asked = [];
    const before = proxy.seen().length;
    const prefix = name.replaceAll(" ", "-");
    const options = { credentials: { kind: "none" }, rules } as const;
    const store = await openTestStore(server.url(proxy.origin, prefix), options);
    const owner = await openTestStore(server.url(server.origin, prefix), { credentials: server.credentials, rules });
    try {
      await useBoth(store, owner);
    } finally {
      store.close();
      owner.close();
    }
    const seen = proxy.seen().slice(before);
    expect([...new Set(seen.map(({ method }) => method))].toSorted()).toEqual(METHODS[kind]);
    expect(seen.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
    expect(seen.filter(({ path }) => /[?&](sig|access_token|x-amz-signature)=/i.test(path))).toEqual([]);
    expect(asked).toEqual([]);
  });

  /** What the kind lets nobody do, its owner does. */
  const useBoth = async (store: ObjectStore, owner: ObjectStore): Promise<void> => {
    const large = (who: ObjectStore): Promise<unknown> =>
      who.upload("large", chunked(bytes, 1 << 18), { condition: { kind: "absent" } }, call);
    const small = (who: ObjectStore): Promise<{ readonly version: string }> =>
      who.put("small", bytes.subarray(0, 9), { kind: "absent" }, call);
    if (kind !== "gcs") await refused(large(store));
    if (kind === "azure") await refused(small(store));
    await large(kind === "gcs" ? store : owner);
    const { version } = await small(kind === "azure" ? owner : store);
    await readBoth(store);
    const removed = store.remove("small", { version }, call);
    await (kind === "azure" ? refused(removed) : removed);
  };

  const readBoth = async (store: ObjectStore): Promise<void> => {
    const large = await store.stat("large", call);
    const read = await collect(store.read(large, { offset: 0, sizeBytes: large.sizeBytes }, call));
    expect(digestOf(read)).toBe(digestOf(bytes));
    expect((await store.get("small", 100, call)).bytes).toHaveLength(9);
    const { items } = await store.list("", { limit: 10 }, call);
    expect(items.map(({ key }) => key).toSorted()).toEqual(["large", "small"]);
  };
});

/** By the server, not for want of credentials here. */
async function refused(work: Promise<unknown>): Promise<void> {
  await expect(work).rejects.toMatchObject({ kind: "denied", message: expect.stringMatching(/, 40[13]\)\.$/) });
}
