import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { createModelObjects, createModelStore } from "../../../../test/mounter/model-store.ts";
import { sampleRequest } from "../../../../test/mounter/sample-snapshot.ts";
import { sampleCheckpoint, writeCheckpoint as fill } from "../../../test/sample-checkpoint.ts";
import { ROOT } from "../../../test/sample-layer.ts";
import { createArchive } from "../archive/create-archive.ts";
import { findSnapshot } from "./find-snapshot.ts";
import { writeCheckpoint, type CheckpointFiles } from "./write-checkpoint.ts";

const call = { signal: new AbortController().signal };
const place = { namespace: "team", name: "work" };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "atoll-checkpoint-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function prepare(sizeBytes: number) {
  const model = createModelObjects();
  const store = createModelStore(model);
  const file = { path: "./file", sizeBytes, segments: [{ startPage: 0, pages: 2, fill: 7 }] };
  await fill(join(folder, "image"), { ...sampleCheckpoint([ROOT], [file]), containerName: "000" });
  const ports = { store, clock: createManualClock(), newAttempt: () => "t1", archive: createArchive() };
  const {
    runtime: _runtime,
    warnings: _warnings,
    ...facts
  } = sampleRequest({ writeId: "w1", bytes: new Uint8Array() }).facts;
  const checkpoint: CheckpointFiles = {
    folder: join(folder, "image"),
    checkpointName: "000",
    facts,
    below: [],
    mostTarBytes: 4 << 20,
  };
  return { model, store, ports, checkpoint };
}

describe("writeCheckpoint()", () => {
  test("publishes what the checkpoint holds, and says so in its phases", async () => {
    const { store, ports, checkpoint } = await prepare(5000);
    const phases: string[] = [];
    const written = await writeCheckpoint(ports, checkpoint, {
      ...call,
      onProgress: ({ phase }) => void (phases.at(-1) === phase || phases.push(phase)),
    });
    expect(written).toMatchObject({ kind: "published", isNew: true });
    expect(phases).toEqual(["Packing", "Uploading", "Verifying"]);
    const found = await findSnapshot(store, place, call);
    expect(found.kind === "manifest" ? found.manifest : undefined).toMatchObject({
      containerName: "main",
      runtime: { version: "release-test" },
      layers: [{ entries: 2 }],
      warnings: [],
    });
  });

  test("passes warnings on, those of the dump first", async () => {
    const { store, ports, checkpoint } = await prepare(2 << 20);
    const lost = { code: "SocketsLost", message: "Sockets are not kept.", count: 1, examples: ["./a"] };
    const late = Promise.resolve([{ ...lost, code: "AttributesLost" }]);
    await writeCheckpoint(ports, { ...checkpoint, warnings: [lost], lost: late }, call);
    const found = await findSnapshot(store, place, call);
    expect(found.kind === "manifest" ? found.manifest.warnings.map(({ code }) => code) : []).toEqual([
      "SocketsLost",
      "AttributesLost",
      "HolesFilled",
    ]);
  });

  test("what is too large is refused before anything is stored", async () => {
    const { model, ports, checkpoint } = await prepare(8 << 20);
    await expect(writeCheckpoint(ports, checkpoint, call)).rejects.toMatchObject({
      name: "ArchiveFault",
      code: "too-large",
    });
    expect(model.objects.size).toBe(0);
  });

  test("a veto leaves nothing in the store", async () => {
    const { model, ports, checkpoint } = await prepare(5000);
    const beforePublish = () => Promise.reject(new Error("no longer wanted"));
    await expect(writeCheckpoint(ports, checkpoint, { ...call, beforePublish })).rejects.toThrow("no longer wanted");
    expect(model.objects.size).toBe(0);
  });
});
