import { lutimesSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readManifest } from "#core/snapshot/read-manifest.ts";
import { manifestKey, parseSnapshotKey, snapshotPrefix } from "#core/snapshot/snapshot-keys.ts";
import { SANDBOX_NAMESPACE } from "#core/kubernetes/names.ts";
import { COLLECT_PATIENCE, collectSnapshots, type Collected } from "#mounter/node/snapshot/collect-snapshots.ts";
import type { ObjectStore } from "#mounter/storage/port.ts";
import { isStoreError } from "#mounter/storage/store-error.ts";
import { NETWORK } from "#testbed/layout.ts";
import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { startFaultProxy, type FaultProxy } from "../stores/fault-proxy.ts";
import { openTestStore, s3Url, S3_KEYS, startServer } from "../stores/servers.ts";

const PREFIX = "atoll";
/** On the machine's end of the link to the node: a port of the testbed's alone. */
const ADDRESS = { host: NETWORK.hostIp, port: 30_090 } as const;
/** Long ago, as the collector reckons. */
const LONG_MS = 2 * COLLECT_PATIENCE.graceMs;
const MOST_MANIFEST_BYTES = 1 << 20;

/**
 * Settings of an installation on the testbed that keeps its snapshots in the store of whatever test
 * runs at the moment: the address stays, and who listens there is each test's own affair.
 */
export const SNAPSHOT_SETTINGS = {
  snapshots: {
    enabled: true,
    store: { url: s3Url(`http://${ADDRESS.host}:${ADDRESS.port}`, PREFIX) },
  },
  snapshotCredentials: S3_KEYS,
} as const;

/** An S3 server behind a proxy at the address where the installation keeps its snapshots. */
export interface SnapshotStore {
  readonly proxy: FaultProxy;
  /** The same objects, without the proxy. */
  readonly objects: ObjectStore;
  /** Ends the server as a crash does. */
  kill(): Promise<void>;
  start(): Promise<void>;
  manifest(name: string): Promise<SnapshotManifest | undefined>;
  /** Keys of all that lies in the namespace of the sandboxes. */
  keys(): Promise<readonly string[]>;
  /** Bytes of an object. */
  read(key: string): Promise<Uint8Array>;
  /** Puts an object, whatever is there. */
  write(key: string, bytes: Uint8Array): Promise<void>;
  /** Tidies up as a mounter would much later. Nobody may write meanwhile. */
  collectMuchLater(): Promise<Collected>;
  end(): Promise<void>;
}

/** Starts the store, empty. */
export async function startSnapshotStore(): Promise<SnapshotStore> {
  const server = await startServer("s3");
  const proxy = await startFaultProxy(server.origin, ADDRESS);
  const objects = await openTestStore(server.url(server.origin, PREFIX), { credentials: server.credentials });
  const call = { signal: new AbortController().signal };
  const read = async (key: string): Promise<Uint8Array> => {
    const { sizeBytes } = await objects.stat(key, call);
    return (await objects.get(key, sizeBytes, call)).bytes;
  };
  return {
    proxy,
    objects,
    kill: server.kill,
    start: server.start,
    async manifest(name) {
      try {
        const { bytes } = await objects.get(manifestKey(SANDBOX_NAMESPACE, name), MOST_MANIFEST_BYTES, call);
        const found = readManifest(new TextDecoder().decode(bytes), { namespace: SANDBOX_NAMESPACE, name });
        if (found.kind === "fault") throw new Error(`The manifest of ${name} cannot be used: ${found.fault}`);
        return found.manifest;
      } catch (error) {
        if (isStoreError(error, "absent")) return undefined;
        throw error;
      }
    },
    async keys() {
      const { items, next } = await objects.list(snapshotPrefix(SANDBOX_NAMESPACE), {}, call);
      if (next !== undefined) throw new Error("More objects than a test makes");
      return items.map(({ key }) => key);
    },
    read,
    async write(key, bytes) {
      await objects.put(key, bytes, { kind: "always" }, call);
    },
    async collectMuchLater() {
      // An upload of whoever was killed is nobody's, and its age is not what is looked at here.
      const options = { namespace: SANDBOX_NAMESPACE, graceMs: COLLECT_PATIENCE.graceMs, uploadMs: -60_000 };
      const first = await collectSnapshots(objects, options, call);
      age(server.dataFolder, (Date.now() - LONG_MS) / 1000);
      const second = await collectSnapshots(objects, options, call);
      return { ...second, abortedUploads: first.abortedUploads + second.abortedUploads };
    },
    async end() {
      objects.close();
      await proxy.close();
      await server.end();
    },
  };
}

/** Keys of layers that no manifest names. */
export async function unnamedLayers(store: SnapshotStore): Promise<readonly string[]> {
  const keys = await store.keys();
  const named = new Set<string>();
  for (const key of keys) {
    const parsed = parseSnapshotKey(key);
    if (parsed?.kind !== "manifest") continue;
    for (const layer of (await store.manifest(parsed.name))?.layers ?? []) named.add(layer.key);
  }
  return keys.filter((key) => parseSnapshotKey(key)?.kind === "layer" && !named.has(key));
}

/** To the server all that it has was written at this moment. */
function age(folder: string, seconds: number): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) lutimesSync(join(entry.parentPath, entry.name), seconds, seconds);
}
