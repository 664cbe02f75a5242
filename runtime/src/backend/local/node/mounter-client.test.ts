import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { MounterAsk } from "#api/mounter-channel.ts";
import { silentLog } from "#core/log.ts";
import { sampleCheckpoint, writeCheckpoint } from "../../../../../mounter/test/sample-checkpoint.ts";
import { ROOT } from "../../../../../mounter/test/sample-layer.ts";
import { mounterPid } from "../../../../../test/harness/mounter-pid.ts";
import type { HeldArchive, Mounter, WriteCall } from "../mounter.ts";
import { createMounterClient } from "./mounter-client.ts";
import { openMounter } from "./open-mounter.ts";

const namespace = "team";
const MIB = 2 ** 20;

let home = "";
let mounter: Mounter;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "atoll-mounter-"));
  mounter = await openMounter(placeOf(`file://${home}/store`), { log: silentLog, random: Math.random });
  const files = [{ path: "./file", sizeBytes: 8192, segments: [{ startPage: 0, pages: 2, fill: 7 }] }];
  await writeCheckpoint(join(home, "staging"), sampleCheckpoint([ROOT], files));
});
afterEach(async () => {
  await mounter.close();
  await rm(home, { recursive: true, force: true });
});

function placeOf(store: string): Parameters<typeof openMounter>[0] {
  const snapshots = {
    store,
    namespace,
    cacheBytes: 100 * MIB,
    mostTarBytes: MIB,
    env: { PATH: process.env["PATH"] ?? "" },
  };
  return { homeDir: home, runDir: join(home, "run"), diskReserveBytes: 0, snapshots };
}

const order = (writeId: string, more: Partial<MounterAsk<"write">> = {}): MounterAsk<"write"> => ({
  folder: join(home, "staging"),
  checkpointName: "main",
  facts: {
    writeId,
    namespace,
    name: "work",
    createdAt: "2026-11-22T10:00:00Z",
    sandboxName: "box",
    containerName: "main",
    base: { image: "debian" },
  },
  ground: { kind: "layers", layers: [] },
  mostTarBytes: MIB,
  warnings: [],
  ...more,
});

function callOf(beforePublish: WriteCall["beforePublish"] = async () => Date.now() + 60_000): WriteCall {
  return { signal: AbortSignal.timeout(20_000), log: silentLog, onProgress: () => undefined, beforePublish };
}

const call = (): WriteCall => callOf();
const layersInStore = async (): Promise<string[]> =>
  (await readdir(join(home, "store"), { recursive: true })).filter((file) => file.endsWith(".tar.zst"));

/** Waits until all of a layer is there. */
async function holdWhole(layer: MounterAsk<"hold">["layer"]): Promise<HeldArchive> {
  const held = await mounter.hold({ namespace, layer }, call());
  try {
    await held.whole;
    return held;
  } catch (error) {
    held.release();
    throw error;
  }
}

function kill(): void {
  const pid = mounterPid(process.pid);
  if (pid === undefined) throw new Error("No mounter runs");
  process.kill(pid, "SIGKILL");
}

describe("the mounter of one machine", () => {
  test("writes, finds, brings and removes a snapshot; what it brings lies there until it is released", async () => {
    expect(await mounter.find({ namespace, name: "work" }, call())).toEqual({ kind: "absent" });
    const phases = new Set<string>();
    const written = await mounter.write(order("w1"), { ...call(), onProgress: ({ phase }) => phases.add(phase) });
    if (written.kind !== "published") throw new Error("It is not published");
    expect([...phases]).toContain("Packing");
    expect(await mounter.find({ namespace, name: "work" }, call())).toEqual({
      kind: "manifest",
      manifest: written.manifest,
    });
    const [layer] = written.manifest.layers;
    if (layer === undefined) throw new Error("It has no layer");
    const held = await mounter.hold({ namespace, layer }, call());
    await held.whole;
    expect([held.tarDigest, (await readFile(held.path)).length]).toEqual([layer.tarDigest, layer.tarBytes]);
    held.release();
    await expect.poll(() => readdir(join(home, "mounter/staging"))).toEqual([]);
    await mounter.remove({ namespace, name: "work", writeId: "other" }, call());
    expect((await mounter.find({ namespace, name: "work" }, call())).kind).toBe("manifest");
    await mounter.remove({ namespace, name: "work", writeId: "w1" }, call());
    expect((await mounter.find({ namespace, name: "work" }, call())).kind).toBe("absent");
  });

  test("killed before and after the word that lets it publish, it is asked again, and one write stands", async () => {
    let asked = 0;
    const beforePublish = async (): Promise<number> => {
      asked += 1;
      if (asked < 3) kill();
      return Date.now() + 60_000;
    };
    const written = await mounter.write(order("w1"), callOf(beforePublish));
    expect(written).toMatchObject({ kind: "published", manifest: { writeId: "w1" } });
    expect(asked).toBe(3);
    // It stands already: nothing is asked or written any more.
    expect(await mounter.write(order("w1"), callOf(beforePublish))).toMatchObject({ kind: "published" });
    expect(asked).toBe(3);
  });

  test("a write that is not wanted any more, or whose caller leaves, leaves nothing", async () => {
    const refused = mounter.write(
      order("w1"),
      callOf(async () => {
        throw new Error("given up");
      }),
    );
    await expect(refused).rejects.toThrow("given up");
    const leaver = new AbortController();
    const waits = async (): Promise<number> => {
      leaver.abort(new Error("left"));
      return new Promise(() => undefined);
    };
    const left = mounter.write(order("w2"), { ...callOf(waits), signal: leaver.signal });
    await expect(left).rejects.toThrow("left");
    await expect.poll(layersInStore).toEqual([]);
    expect((await mounter.find({ namespace, name: "work" }, call())).kind).toBe("absent");
  });

  test("tells faults by what a record says of them", async () => {
    await expect(mounter.write(order("w1", { checkpointName: "none" }), call())).rejects.toMatchObject({
      reason: "DumpFailed",
      message: expect.stringMatching(/\.$/) as string,
    });
    await expect(mounter.write(order("w1", { mostTarBytes: 1024 }), call())).rejects.toMatchObject({
      reason: "TooLarge",
    });
    const written = await mounter.write(order("w1"), call());
    const [layer] = written.kind === "published" ? written.manifest.layers : [];
    if (layer === undefined) throw new Error("It has no layer");
    const key = join(home, "store", layer.key);
    await writeFile(key, new Uint8Array(layer.bytes));
    await expect(holdWhole(layer)).rejects.toMatchObject({ code: "damaged" });
    await rm(key);
    await expect(holdWhole(layer)).rejects.toMatchObject({ code: "absent" });
    await expect.poll(() => readdir(join(home, "mounter/staging"))).toEqual([]);
    await writeFile(join(home, "store/rootfssnapshots/team/work.json"), "{}");
    expect(await mounter.find({ namespace, name: "work" }, call())).toMatchObject({ kind: "unreadable" });
  });

  test("on layers that the store keeps no longer it writes a whole one", async () => {
    const below = await mounter.write(order("w1"), call());
    const layers = below.kind === "published" ? below.manifest.layers : [];
    // Brought once, it is at hand.
    for (const layer of layers) (await holdWhole(layer)).release();
    for (const { key } of layers) await rm(join(home, "store", key));
    const facts = { ...order("w2").facts, createdAt: "2026-11-22T10:00:01Z" };
    const written = await mounter.write(order("w2", { facts, ground: { kind: "layers", layers } }), call());
    expect(written).toMatchObject({ kind: "published", manifest: { layers: [expect.anything()] } });
  });

  test("cannot be opened on a store that is none, and says why", async () => {
    await mounter.close();
    const opening = openMounter(placeOf("ftp://somewhere"), { log: silentLog, random: Math.random });
    await expect(opening).rejects.toThrow(/cannot start: .*Cannot use the store's URL: ftp:/);
    mounter = await openMounter(placeOf(`file://${home}/store`), { log: silentLog, random: Math.random });
  });
});

describe("createMounterClient() hold()", () => {
  const layer = { key: "a", version: "1", bytes: 512 };
  const archive = { path: "/mounter/place/layer.tar", tarDigest: `sha256:${"1".repeat(64)}`, tarBytes: 512 };
  const said = (line: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(line)}\n`);

  /** A mounter that has said where the archive will be. */
  async function placed() {
    let rest: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        rest = controller;
        controller.enqueue(said({ line: "placed", archive }));
      },
    });
    let requests = 0;
    const fetch = async (): Promise<Response> => {
      requests += 1;
      return new Response(body);
    };
    const program = { ready: async () => fetch, close: async () => undefined };
    const client = createMounterClient(program, { random: () => 0, dir: "/mounter" });
    const held = await client.hold({ namespace, layer }, call());
    expect(held).toMatchObject(archive);
    return { held, rest, requests: () => requests };
  }

  test("answers as soon as it is known where the archive will be, and says when it is whole", async () => {
    const { held, rest } = await placed();
    let isWhole = false;
    void held.whole.then(() => (isWhole = true));
    rest?.enqueue(said({ line: "progress", progress: { phase: "Uploading", bytesDone: 1 } }));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isWhole).toBe(false);
    rest?.enqueue(said({ line: "end", answer: archive }));
    await held.whole;
  });

  test("says that a layer is worth asking for again when its program ends in the middle, and asks for nothing itself", async () => {
    const { held, rest, requests } = await placed();
    rest?.error(new Error("the program was killed"));
    await expect(held.whole).rejects.toMatchObject({ name: "MounterError", code: "unavailable" });
    const cut = await placed();
    cut.rest?.close();
    await expect(cut.held.whole).rejects.toMatchObject({ name: "MounterError", code: "unavailable" });
    expect([requests(), cut.requests()]).toEqual([1, 1]);
  });

  test("passes on what the program found to be wrong", async () => {
    const { held, rest } = await placed();
    rest?.enqueue(
      said({ line: "fault", fault: { code: "damaged", reason: "StoreFailed", message: "It is damaged." } }),
    );
    await expect(held.whole).rejects.toMatchObject({ code: "damaged", message: "It is damaged." });
  });
});
