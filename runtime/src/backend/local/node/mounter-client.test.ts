import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { MounterAsk } from "#api/mounter-channel.ts";
import { silentLog } from "#core/log.ts";
import { sampleCheckpoint, writeCheckpoint } from "../../../../../mounter/test/sample-checkpoint.ts";
import { ROOT } from "../../../../../mounter/test/sample-layer.ts";
import { mounterPid } from "../../../../../test/harness/mounter-pid.ts";
import type { Mounter, WriteCall } from "../mounter.ts";
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
    await expect(mounter.hold({ namespace, layer }, call())).rejects.toMatchObject({ code: "damaged" });
    await rm(key);
    await expect(mounter.hold({ namespace, layer }, call())).rejects.toMatchObject({ code: "absent" });
    await writeFile(join(home, "store/rootfssnapshots/team/work.json"), "{}");
    expect(await mounter.find({ namespace, name: "work" }, call())).toMatchObject({ kind: "unreadable" });
  });

  test("on layers that the store keeps no longer it writes a whole one", async () => {
    const below = await mounter.write(order("w1"), call());
    const layers = below.kind === "published" ? below.manifest.layers : [];
    // Brought once, it is at hand.
    for (const layer of layers) (await mounter.hold({ namespace, layer }, call())).release();
    for (const { key } of layers) await rm(join(home, "store", key));
    const facts = { ...order("w2").facts, createdAt: "2026-11-22T10:00:01Z" };
    const written = await mounter.write(order("w2", { facts, ground: { kind: "layers", layers } }), call());
    expect(written).toMatchObject({ kind: "published", manifest: { layers: [expect.anything()] } });
  });

  test("cannot be opened on a store that is none, and says why", async () => {
    await mounter.close();
    const opening = openMounter(placeOf("ftp://somewhere"), { log: silentLog, random: Math.random });
    await expect(opening).rejects.toThrow(/cannot start: Cannot use the store's URL: ftp:/);
    mounter = await openMounter(placeOf(`file://${home}/store`), { log: silentLog, random: Math.random });
  });
});
