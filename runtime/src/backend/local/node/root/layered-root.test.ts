import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Image } from "#runtime/backend/local/image.ts";
import { LayerLost, type LayerUse, type RootLayer } from "#runtime/backend/local/image-store.ts";
import { makeLayer, type Member } from "../../../../../../test/machine/make-layer.ts";
import { call, file, useImageStore } from "../../../../../test/images/store-harness.ts";

const h = useImageStore();
let layers = "";
beforeAll(async () => {
  layers = await mkdtemp(join(tmpdir(), "atoll-layers-"));
});
afterAll(() => rm(layers, { recursive: true }));

interface TestLayer extends RootLayer {
  readonly path: string;
  readonly use: { fetched: number; released: number };
}

async function layerOf(name: string, members: readonly Member[]): Promise<TestLayer> {
  const bytes = makeLayer([{ name: "./" }, ...members]);
  const path = join(layers, `${name}.tar`);
  await writeFile(path, bytes);
  const use = { fetched: 0, released: 0 };
  return {
    path,
    use,
    tarDigest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`,
    fetch: async () => {
      use.fetched += 1;
      return { path, release: () => void (use.released += 1) };
    },
  };
}

const baseOf = async (name: string): Promise<Image> =>
  h.store.acquire(await h.push(name, [[file("of-the-image")]]), call);
const litter = async (): Promise<string[]> => (await h.litter()).filter((name) => !name.endsWith(".upper.tar"));

describe("ImageStore.acquireLayered()", () => {
  test("makes a root once for all who ask at once, and again for nobody, also in the next process", async () => {
    const base = await baseOf("root-once");
    const layer = await layerOf("once", [{ name: "./new", data: "new", xattrs: { "user.a": "b" } }]);
    const roots = await Promise.all(
      ["one", "two", "three"].map((holder) => h.store.acquireLayered(base, [layer], { ...call, holder })),
    );
    expect(new Set(roots.map(({ digest }) => digest)).size).toBe(1);
    expect([layer.use, await litter()]).toEqual([{ fetched: 1, released: 1 }, []]);
    const [root] = roots;
    expect(root?.layered).toEqual({ base: base.digest, tarDigests: [layer.tarDigest] });
    expect(await readFile(root?.upperTar?.path ?? "", "latin1")).toContain("./new");
    expect(await readdir(await h.extract(root?.erofsPath ?? ""))).toEqual(
      expect.arrayContaining(["of-the-image", "new", "etc", "proc"]),
    );
    await h.store.close();
    h.store = await h.createStore();
    expect(await h.store.acquireLayered(base, [layer], call)).toEqual(root);
    expect(layer.use.fetched).toBe(1);
  });

  test("is the image itself without layers, and another root for another order of them", async () => {
    const base = await baseOf("root-order");
    const [a, b] = [await layerOf("a", [{ name: "./x", data: "a" }]), await layerOf("b", [{ name: "./x", data: "b" }])];
    expect(await h.store.acquireLayered(base, [], call)).toBe(base);
    const [ab, ba] = [
      await h.store.acquireLayered(base, [a, b], call),
      await h.store.acquireLayered(base, [b, a], call),
    ];
    expect(await readFile(join(await h.extract(ab.erofsPath), "x"), "utf8")).toBe("b");
    expect(await readFile(join(await h.extract(ba.erofsPath), "x"), "utf8")).toBe("a");
  });

  test("removes unused roots with all their files, and the image below as well", async () => {
    const base = await baseOf("root-evicted");
    await h.store.acquireLayered(base, [await layerOf("evicted", [{ name: "./pipe", type: "fifo" }])], call);
    h.store.releaseAll(call.holder);
    await h.store.close();
    h.store = await h.createStore({ maxBytes: 1 });
    expect(await h.store.evict()).toHaveLength(2);
    expect((await readdir(h.dir)).filter((name) => /^[0-9a-f]{64}/.test(name))).toEqual([]);
  });

  test("says in one sentence that a layer is damaged, keeps nothing of it, and releases what it fetched", async () => {
    const base = await baseOf("root-damaged");
    const layer = await layerOf("damaged", [{ name: "./x", data: "x".repeat(5000) }]);
    await truncate(layer.path, 1536);
    await expect(h.store.acquireLayered(base, [layer], call)).rejects.toMatchObject({
      fault: "corrupt",
      message: "The snapshot cannot be restored: a layer of it has been cut.",
    });
    expect([layer.use, await litter()]).toEqual([{ fetched: 1, released: 1 }, []]);
  });

  test("makes a root of a layer while it comes, and when it does not, says what it says of itself and takes it anew", async () => {
    const base = await baseOf("root-coming");
    const layer = await layerOf("coming", [{ name: "./x", data: "x".repeat(5000) }]);
    const bytes = await readFile(layer.path);
    const coming = (whole: () => Promise<void>): RootLayer => ({
      tarDigest: layer.tarDigest,
      fetch: async (signal, use) => {
        await truncate(layer.path, 1000);
        return { ...(await layer.fetch(signal, use)), coming: { bytes: bytes.length, isPipe: false, whole: whole() } };
      },
    });
    const damaged = coming(async () => {
      throw new Error("the store has other bytes");
    });
    await expect(h.store.acquireLayered(base, [damaged], call)).rejects.toThrow("the store has other bytes");
    const lost = new LayerLost("it does not come");
    const never = coming(() => Promise.reject(lost));
    await expect(h.store.acquireLayered(base, [never], call)).rejects.toBe(lost);
    expect([layer.use, await litter()]).toEqual([{ fetched: 2, released: 2 }, []]);
    const garbled = coming(async () => {
      await writeFile(layer.path, Buffer.from(bytes).fill(7, 100, 110));
      throw new Error("what was read was not kept well");
    });
    await expect(h.store.acquireLayered(base, [garbled], call)).rejects.toThrow("not kept well");
    const late = coming(() => writeFile(layer.path, bytes));
    const root = await h.store.acquireLayered(base, [late], call);
    expect(await readFile(join(await h.extract(root.erofsPath), "x"), "utf8")).toBe("x".repeat(5000));
  });

  test("makes a root whose layers are here while those of others do not come, and these when they do", async () => {
    const base = await baseOf("root-beside");
    const last = Promise.withResolvers<void>();
    const away = await Promise.all(
      ["first", "second", "third"].map(async (name): Promise<RootLayer> => {
        const { tarDigest, path, fetch } = await layerOf(name, [{ name: `./${name}`, data: "x".repeat(5000) }]);
        const bytes = await readFile(path);
        const coming = { bytes: bytes.length, isPipe: false, whole: last.promise.then(() => writeFile(path, bytes)) };
        return {
          tarDigest,
          fetch: async (signal, use) => (await truncate(path, 1000), { ...(await fetch(signal, use)), coming }),
        };
      }),
    );
    const roots = Promise.all(away.map((layer) => h.store.acquireLayered(base, [layer], call)));
    for (const name of ["here", "too"])
      await h.store.acquireLayered(base, [await layerOf(name, [{ name: `./${name}`, data: name }])], call);
    last.resolve();
    expect(new Set((await roots).map(({ digest }) => digest)).size).toBe(3);
  });

  test("makes a root of what comes by a pipe, which counts only when its writer says that it was whole", async () => {
    const base = await baseOf("root-piped");
    const layer = await layerOf("piped", [{ name: "./x", data: "x".repeat(500_000) }]);
    const [pipe, uses] = [join(layers, "pipe"), [] as LayerUse[]];
    await promisify(execFile)("mkfifo", [pipe]);
    const piped = (bytes: number, whole: (written: Promise<unknown>) => Promise<void>): RootLayer => ({
      tarDigest: layer.tarDigest,
      fetch: async (_, use) => {
        uses.push(use);
        const writer = spawn("sh", ["-c", 'head -c "$1" "$2" > "$3"', "sh", String(bytes), layer.path, pipe]);
        const coming = { bytes: 501_000, isPipe: true, whole: whole(once(writer, "exit")) };
        return { path: pipe, coming, release: () => void writer.kill() };
      },
    });
    const wrong = piped(1e6, async (written) => {
      await written;
      throw new Error("the store has other bytes");
    });
    await expect(h.store.acquireLayered(base, [wrong], call)).rejects.toThrow("the store has other bytes");
    const cut = piped(200_000, async (written) => {
      await written;
      throw new LayerLost("its writer was killed");
    });
    await expect(h.store.acquireLayered(base, [cut], call)).rejects.toThrow("its writer was killed");
    expect(await litter()).toEqual([]);
    const good = piped(1e6, async (written) => void (await written));
    const root = await h.store.acquireLayered(base, [layer, good], call);
    expect(await readFile(join(await h.extract(root.erofsPath), "x"), "utf8")).toBe("x".repeat(500_000));
    expect([uses.at(-1), layer.use]).toEqual([{ isReadOnce: true }, { fetched: 1, released: 1 }]);
  });

  test("takes a root that is not whole for none", async () => {
    const base = await baseOf("root-unwhole");
    const layer = await layerOf("unwhole", [{ name: "./pipe", type: "fifo" }]);
    const root = await h.store.acquireLayered(base, [layer], call);
    await h.store.close();
    await truncate(root.upperTar?.path ?? "", 512);
    h.store = await h.createStore();
    expect((await h.store.acquireLayered(base, [layer], call)).upperTar).toEqual(root.upperTar);
    expect(layer.use.fetched).toBe(2);
  });

  test.each([0, 60, 120, 250])("leaves no litter and no process when killed %i ms after its beginning", async (ms) => {
    const base = await baseOf(`root-killed-${ms}`);
    const many = Array.from({ length: 20_000 }, (_, index): Member => ({ name: `./${index}`, data: "x" }));
    const layer = await layerOf("killed", many);
    await h.store.close();
    await killAfter(ms, base.digest, layer);
    await expect.poll(processesHere, { interval: 20, timeout: 10_000 }).toEqual([]);
    h.store = await h.createStore();
    expect(await litter()).toEqual([]);
    const root = await h.store.acquireLayered(base, [layer], call);
    expect(await readdir(await h.extract(root.erofsPath))).toHaveLength(20_000 + 6);
  });
});

/** Makes a root in a process of its own and kills it some time after it has begun. */
async function killAfter(ms: number, base: string, { path, tarDigest }: TestLayer): Promise<void> {
  const program = new URL("../../../../../../test/machine/make-root-process.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [program, h.dir, base, path, tarDigest], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  createInterface(child.stdout).once("line", () => void sleep(ms).then(() => child.kill("SIGKILL")));
  await ended;
}

async function processesHere(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(h.dir));
}
