import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { RESTORE_FOLDER } from "#core/kubernetes/names.ts";
import { parseSnapshotKey } from "#core/snapshot/snapshot-keys.ts";
import { NodeMounterEnvironment } from "#mounter/manifest.ts";
import type { Fault } from "../stores/fault-proxy.ts";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { unnamedLayers } from "../harness/snapshot-store.ts";
import { killProgram, openSnapshotStage, run, type SnapshotStage } from "./snapshot-stage.ts";
import { contradictions, SUM, writeSnapshots, type Asked } from "./snapshot-writers.ts";

const SNAPSHOTS = process.env["ATOLL_SOAK"] === "1" ? 200 : 20;
const WRITERS = 4;
const TIMEOUT_SECONDS = 120;
const BETWEEN_KILLS_MS = 1500;
const STORE_AWAY_MS = 1500;
const TEST_MS = 120_000 + SNAPSHOTS * 20_000;
const SETTLE_MS = 60_000;
/** Where the mounter keeps what is on its way, unless configured otherwise. */
const MOUNTER_FOLDER = NodeMounterEnvironment.shape.ATOLL_MOUNTER_DIR.parse(undefined);
/** Containers of one sandbox in which snapshots are looked at. */
const TOGETHER = 5;
const ALWAYS = 1_000_000;
/** Of all requests to the store, so many meet each of these. */
const FAULTS: readonly (readonly [Fault, number])[] = [
  [{ kind: "status", status: 503 }, 0.04],
  [{ kind: "reset" }, 0.03],
  [{ kind: "lost-answer" }, 0.02],
  [{ kind: "truncate" }, 0.02],
];
const VICTIMS = ["mounter", "store", "operator"] as const;
type Victim = (typeof VICTIMS)[number];

let stage: SnapshotStage;
beforeAll(async () => {
  stage = await openSnapshotStage();
}, 60_000);
afterAll(() => stage?.dispose(), TEST_MS);

describe("snapshots while mounter, operator and store are killed", { timeout: TEST_MS }, () => {
  let asked: readonly Asked[] = [];

  it(`are taken or fail, ${SNAPSHOTS} of them, and no record says other than the store`, async () => {
    const { proxy } = stage.store;
    for (const [fault, share] of FAULTS) proxy.add(fault, { times: ALWAYS, matches: () => Math.random() < share });
    const over = new AbortController();
    const killed: Record<Victim, number> = { mounter: 0, store: 0, operator: 0 };
    const killing = killInTurn(killed, over.signal);
    try {
      asked = await writeSnapshots(stage, { writers: WRITERS, snapshots: SNAPSHOTS, timeoutSeconds: TIMEOUT_SECONDS });
    } finally {
      over.abort();
      await killing;
      proxy.clear();
    }
    const failures = asked.flatMap(({ why }) => (why === undefined ? [] : [why]));
    console.info(JSON.stringify({ killed, succeeded: asked.length - failures.length, failures }));
    expect(asked).toHaveLength(SNAPSHOTS);
    expect(VICTIMS.filter((victim) => killed[victim] === 0)).toEqual([]);
    expect(asked.length - failures.length).toBeGreaterThan(SNAPSHOTS / 2);
    expect(await contradictions(stage, asked)).toEqual([]);
  });

  it("restore what their records promise", async () => {
    const last = [...new Map(asked.filter(({ hasSucceeded }) => hasSucceeded).map((one) => [one.name, one])).values()];
    expect(last.length).toBeGreaterThan(0);
    for (let first = 0; first < last.length; first += TOGETHER) {
      const together = last.slice(first, first + TOGETHER);
      const containers = together.map(({ name }) => ({ name, image: TEST_IMAGE, rootfsSnapshotName: name }));
      const sandbox = await stage.api.sandboxes.create({ containers });
      for (const { name, sum } of together) expect([name, await run(sandbox, SUM, name)]).toEqual([name, sum]);
      await sandbox.delete();
    }
  });

  it("leave nothing behind that nobody names, in the store or on the node", async () => {
    const { unreadable } = await stage.store.collectMuchLater();
    expect(unreadable).toEqual([]);
    expect(await unnamedLayers(stage.store)).toEqual([]);
    const foreign = (await stage.store.keys()).filter((key) => parseSnapshotKey(key) === undefined);
    expect(foreign.filter((key) => !key.endsWith("/collected"))).toEqual([]);
    const onNode = (script: string): string => stage.testbed.onNode(["sh", "-c", script]);
    await vi.waitFor(
      () => {
        // What is ready to be restored again is kept beside what sandboxes have, within bounds.
        expect(onNode(`find ${RESTORE_FOLDER} -name "*.tar" -not -path "*/.archives/*"`)).toBe("");
        expect(onNode(`find ${RESTORE_FOLDER} ${MOUNTER_FOLDER} -name "place-*"`)).toBe("");
      },
      { timeout: SETTLE_MS, interval: 500 },
    );
  });
});

async function killInTurn(killed: Record<Victim, number>, signal: AbortSignal): Promise<void> {
  for (let turn = 0; !signal.aborted; turn += 1) {
    await sleep(BETWEEN_KILLS_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const victim = VICTIMS[turn % VICTIMS.length] ?? "mounter";
    if (victim === "store") {
      await stage.store.kill();
      await sleep(STORE_AWAY_MS * Math.random());
      await stage.store.start();
      killed.store += 1;
    } else killed[victim] += await killProgram(stage, victim);
  }
}
