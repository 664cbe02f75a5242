import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SANDBOX_NAMESPACE } from "#core/kubernetes/names.ts";
import { manifestKey, rawKey } from "#core/snapshot/snapshot-keys.ts";
import { SnapshotFailedError, type Sandbox } from "#sdk";
import type { Fault } from "../stores/fault-proxy.ts";
import { newName, openSnapshotStage, run, type SnapshotStage } from "./snapshot-stage.ts";
import { unpackWhole } from "../mounter/unpack-whole.ts";

const TEST_MS = 180_000;
const ALWAYS = 1_000_000;

let stage: SnapshotStage;
let source: Sandbox;
beforeAll(async () => {
  stage = await openSnapshotStage();
  source = await stage.create();
}, 120_000);
afterAll(() => stage?.dispose(), TEST_MS);

interface Taken {
  readonly name: string;
  readonly sum: string;
  readonly layerKey: string;
}

let turn: Promise<unknown> = Promise.resolve();

/** A snapshot that is like no other. They come one after the other: each is of the same files. */
function take(name = newName()): Promise<Taken> {
  const taking = turn.then(async () => {
    const sum = await run(source, "head -c 400000 /dev/urandom >/srv/data; sha1sum /srv/data");
    await source.snapshot({ snapshotName: name });
    return { name, sum, layerKey: (await stage.store.manifest(name))?.layers[0]?.key ?? "" };
  });
  turn = taking.catch(() => undefined);
  return taking;
}

const start = async (rootfsSnapshotName: string): Promise<Sandbox> =>
  stage.started(await stage.begin({ rootfsSnapshotName }));

async function expectRestored({ name, sum }: Pick<Taken, "name" | "sum">): Promise<void> {
  const sandbox = await start(name);
  expect([sandbox.status, sandbox.message]).toEqual(["Running", undefined]);
  expect(await run(sandbox, "sha1sum /srv/data")).toBe(sum);
}

async function expectRefused(name: string): Promise<void> {
  const sandbox = await start(name);
  expect(sandbox).toMatchObject({ status: "Failed", reason: "SnapshotDamaged" });
  expect(sandbox.message).toMatch(/\w+ \w+.*\.$/);
}

/** What lies in the store is not what was put there. */
const DAMAGES: readonly (readonly [string, (taken: Taken) => Promise<void>])[] = [
  ["a layer that was cut", ({ layerKey }) => change(layerKey, (bytes) => bytes.subarray(0, bytes.length >> 1))],
  ["a layer with a changed byte", ({ layerKey }) => change(layerKey, (bytes) => flipped(bytes, bytes.length >> 1))],
  ["the layer of another", async ({ layerKey }) => copy((await take()).layerKey, layerKey)],
  ["no layer", ({ layerKey }) => stage.store.objects.remove(layerKey, {}, { signal: AbortSignal.timeout(10_000) })],
  ["a manifest that was cut", ({ name }) => change(manifestOf(name), (bytes) => bytes.subarray(0, bytes.length >> 1))],
  ["a manifest larger than any", ({ name }) => change(manifestOf(name), () => new Uint8Array(2 << 20))],
  ["the manifest of another", async ({ name }) => copy(manifestOf((await take()).name), manifestOf(name))],
  [
    "a manifest that names the layer of another",
    async ({ name, layerKey }) => {
      const other = await take();
      await change(manifestOf(name), (bytes) => Buffer.from(textOf(bytes).replaceAll(layerKey, other.layerKey)));
    },
  ],
];

const manifestOf = (name: string): string => manifestKey(SANDBOX_NAMESPACE, name);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function change(key: string, how: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  await stage.store.write(key, how(await stage.store.read(key)));
}

async function copy(from: string, to: string): Promise<void> {
  await stage.store.write(to, await stage.store.read(from));
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.with(at, (bytes[at] ?? 0) ^ 1);
}

describe("snapshots in a store that is wrong", { timeout: TEST_MS, concurrent: true }, () => {
  it.each(DAMAGES)("with %s are not restored, and it is said", async (_, damage) => {
    const taken = await take();
    await damage(taken);
    await expectRefused(taken.name);
  });

  it("of another program that were cut between two files are not restored", async () => {
    const { layerKey } = await take();
    const raw = unpackWhole(await stage.store.read(layerKey));
    const name = newName();
    // Behind the last file: without what ends an archive.
    const ending = raw.findLastIndex((byte) => byte !== 0);
    await stage.store.write(rawKey(SANDBOX_NAMESPACE, name), raw.subarray(0, Math.ceil((ending + 1) / 512) * 512));
    await expectRefused(name);
  });
});

const at =
  (name: string, method: RegExp, key = /./) =>
  (asked: { readonly method: string; readonly path: string }): boolean =>
    method.test(asked.method) && asked.path.includes(`/${name}.`) && key.test(asked.path);

describe("snapshots over a bad way to the store", { timeout: TEST_MS, concurrent: true }, () => {
  it.each<[string, Fault, number]>([
    ["errors", { kind: "status", status: 503 }, 2],
    ["other errors", { kind: "status", status: 500 }, 2],
    ["resets", { kind: "reset" }, 2],
    ["an answer that is cut", { kind: "truncate" }, 1],
    ["an answer that is changed", { kind: "corrupt-answer" }, 1],
    ["an answer that stops in its middle", { kind: "stall" }, 1],
    ["slow answers", { kind: "slow", pauseMs: 400 }, ALWAYS],
  ])("with %s are restored all the same", async (_, fault, times) => {
    const taken = await take();
    const hits = stage.store.proxy.add(fault, { times, matches: at(taken.name, /GET/, /zst/) });
    await expectRestored(taken);
    expect(hits()).toBeGreaterThan(0);
  });

  it("on which each answer is changed are not restored, and it is said", async () => {
    const { name } = await take();
    stage.store.proxy.add({ kind: "corrupt-answer" }, { times: ALWAYS, matches: at(name, /GET/, /zst/) });
    await expectRefused(name);
  });

  it.each<[string, Fault, number]>([
    ["errors", { kind: "status", status: 503 }, 3],
    ["resets", { kind: "reset" }, 3],
    ["answers that are lost", { kind: "lost-answer" }, 2],
    ["requests that are changed", { kind: "corrupt" }, 1],
  ])("with %s are taken as they were, or fail saying why", async (_, fault, times) => {
    const name = newName();
    const hits = stage.store.proxy.add(fault, {
      times,
      matches: (asked) => asked.bodyBytes > 0 && at(name, /PUT|POST/)(asked),
    });
    const outcome = await take(name).catch((error: unknown) => error);
    const said = outcome instanceof Error ? outcome.message : "";
    expect([hits() > 0, said]).toEqual([true, said]);
    if (outcome instanceof SnapshotFailedError) {
      expect(said).toMatch(/: \w+ .*\.$/);
      expect(await stage.store.manifest(name)).toBeUndefined();
    } else await expectRestored(outcome as Taken);
  });
});

/** Longer than any single request is repeated by itself. */
const AWAY_MS = 15_000;

describe("snapshots without a store", { timeout: TEST_MS }, () => {
  it("wait for it while there is time, say so, and are taken as they were", async () => {
    const name = newName();
    const sum = await run(source, "head -c 400000 /dev/urandom >/srv/data; sha1sum /srv/data");
    const said: (string | undefined)[] = [];
    await stage.store.kill();
    const taking = source.snapshot({ snapshotName: name, onProgress: ({ progress }) => said.push(progress?.message) });
    await sleep(AWAY_MS);
    await run(source, "echo later >/srv/data");
    await stage.store.start();
    await taking;
    expect(said.filter((message) => message?.includes("The store gives no answer"))).not.toEqual([]);
    await expectRestored({ name, sum });
  });
});
