import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { systemClock } from "#core/clock.ts";
import { silentLog } from "#core/log.ts";
import type { ImageStore, ImageStoreConfig } from "#runtime/backend/local/image-store.ts";
import { createImageStore } from "#runtime/backend/local/node/image-store.ts";
import { startRegistry, type LocalRegistry } from "./local-registry.ts";
import { pushImage, type LayerEntry } from "./make-image.ts";
import { startRegistryProxy, type RegistryProxy } from "./registry-proxy.ts";

const run = promisify(execFile);
const GIB = 1024 ** 3;

/** What a test acquires with. */
export const call = { holder: "sandbox-1", signal: new AbortController().signal, log: silentLog };

export const file = (
  name: string,
  content: string | Uint8Array = name,
  more: Partial<LayerEntry> = {},
): LayerEntry => ({
  name,
  content,
  ...more,
});
export const directory = (name: string): LayerEntry => ({ name, type: "directory" });
export const symlink = (name: string, linkname: string): LayerEntry => ({ name, type: "symlink", linkname });

export interface StoreHarness {
  /** A registry for everybody, and a proxy before it. */
  readonly open: LocalRegistry;
  readonly proxy: RegistryProxy;
  /** The image directory of the present test. */
  readonly dir: string;
  store: ImageStore;
  createStore(overrides?: Partial<ImageStoreConfig>): Promise<ImageStore>;
  /** Pushes an image and answers its reference through the proxy. */
  push(name: string, layers: readonly (readonly LayerEntry[])[], config?: Record<string, unknown>): Promise<string>;
  /** What is on disk besides whole images. */
  litter(): Promise<string[]>;
  /** The tree in an EROFS file, unpacked. */
  extract(erofsPath: string): Promise<string>;
}

/** Gives each test of the file a store on an empty directory, and all of them one real registry. */
export function useImageStore(): StoreHarness {
  const harness = {} as { -readonly [K in keyof StoreHarness]: StoreHarness[K] };
  beforeAll(async () => {
    harness.open = await startRegistry();
  }, 60_000);
  afterAll(() => harness.open.stop());
  beforeEach(async () => {
    harness.dir = await mkdtemp(join(tmpdir(), "atoll-images-"));
    harness.proxy = await startRegistryProxy(harness.open.host);
    harness.store = await harness.createStore();
  });
  afterEach(async () => {
    await harness.store.close();
    await harness.proxy.stop();
    await rm(harness.dir, { recursive: true });
  });
  return Object.assign(harness, {
    async createStore(overrides: Partial<ImageStoreConfig> = {}) {
      const { dir, open, proxy } = harness;
      const env = { PATH: process.env["PATH"] ?? "", HOME: dir };
      const config = {
        dir,
        maxBytes: GIB,
        reserveBytes: 1,
        insecureRegistries: [open.host, proxy.host],
        env,
        ...overrides,
      };
      return createImageStore(config, { log: silentLog, clock: systemClock });
    },
    async push(name: string, layers: readonly (readonly LayerEntry[])[], config: Record<string, unknown> = {}) {
      await pushImage(harness.open.host, name, "latest", { layers, config });
      return `${harness.proxy.host}/${name}`;
    },
    async litter() {
      const whole =
        /^(references(\/[0-9a-f]{64}\.json)?|[0-9a-f]{64}\.(erofs|json)|staging|empty-root|anonymous\.auth)$/;
      return (await readdir(harness.dir, { recursive: true })).filter((name) => !whole.test(name));
    },
    async extract(erofsPath: string) {
      const root = join(await mkdtemp(join(harness.dir, "extracted-")), "root");
      await run("fsck.erofs", [`--extract=${root}`, erofsPath]);
      return root;
    },
  });
}

/** What the file's inode says about a path. */
export async function dumpErofs(erofsPath: string, path: string): Promise<string> {
  return (await run("dump.erofs", [`--path=${path}`, erofsPath])).stdout;
}

/** Type and mode as they lie in the inode: the unpacking tool drops the set-user-id bit. */
export async function packedMode(erofsPath: string, path: string): Promise<number> {
  const inode = Number(/NID: (\d+)/.exec(await dumpErofs(erofsPath, path))?.[1]);
  const bytes = await readFile(erofsPath);
  const metaBlock = bytes.readUInt32LE(1024 + 40);
  return bytes.readUInt16LE(metaBlock * 4096 + inode * 32 + 4);
}
