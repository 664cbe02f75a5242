import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { podName, SANDBOX_NAMESPACE } from "#core/kubernetes/names.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import type { Sandbox } from "#sdk";
import { NODE_NAME } from "#testbed/layout.ts";
import { until } from "../harness/until.ts";
import { killProgram, newName, openSnapshotStage, run, type SnapshotStage } from "./snapshot-stage.ts";

const TEST_MS = 180_000;
/** Beyond its deadline a sandbox may need so long to go, as any does. */
const GOING_MS = 30_000;
const SANDBOX_KIND = "sandboxes.sandbox.isola.run";

let stage: SnapshotStage;
beforeAll(async () => {
  stage = await openSnapshotStage();
}, 60_000);
afterEach(() => stage.store.proxy.clear());
afterAll(() => stage?.dispose(), TEST_MS);

interface Ending {
  readonly sandbox: Sandbox;
  readonly snapshotName: string;
  /** What is to be found in what was saved. */
  readonly words: string;
}

/** A sandbox that is saved at its end, and has something to lose. */
async function make(timeoutSeconds = 60): Promise<Ending> {
  const snapshotName = newName();
  const sandbox = await stage.create({ terminationPolicy: { snapshotName, timeoutSeconds } });
  const words = `last words of ${sandbox.id}\n`;
  await sandbox.filesystem.write("/srv/last", words);
  return { sandbox, snapshotName, words };
}

const recordOf = ({ sandbox }: Ending) => stage.record(`${sandbox.id}-termination`);

async function expectSaved(ending: Ending): Promise<void> {
  await stage.gone(ending.sandbox);
  const { phase, message, result } = snapshotState(await recordOf(ending));
  expect([phase, message]).toEqual(["Succeeded", undefined]);
  expect((await stage.store.manifest(ending.snapshotName))?.writeId).toBe(result?.writeId);
  const restored = await stage.create({ rootfsSnapshotName: ending.snapshotName });
  expect(await run(restored, "cat /srv/last")).toBe(ending.words);
  await restored.delete();
}

async function kubectl(...words: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await stage.cluster.run("kubectl", words);
  expect([exitCode, exitCode === 0 ? "" : stderr]).toEqual([0, ""]);
}

async function evict({ sandbox }: Ending): Promise<void> {
  const pod = { name: podName(sandbox.id), namespace: SANDBOX_NAMESPACE };
  const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: pod };
  const path = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}/eviction`;
  const { exitCode, stderr } = await stage.cluster.run(
    "kubectl",
    ["create", "--raw", path, "-f", "-"],
    JSON.stringify(eviction),
  );
  expect([exitCode, stderr]).toEqual([0, ""]);
}

describe("snapshots at the end of sandboxes", { timeout: TEST_MS }, () => {
  it("are taken when somebody deletes the object", async () => {
    const ending = await make();
    await kubectl("delete", SANDBOX_KIND, ending.sandbox.id, "--namespace", SANDBOX_NAMESPACE, "--wait=false");
    await expectSaved(ending);
  });

  it.each(["operator", "mounter"] as const)(
    "are taken once though the %s is killed while they are, and started anew",
    async (program) => {
      const ending = await make();
      let arrive = (): void => undefined;
      let goOn = (): void => undefined;
      const arrived = new Promise<void>((resolve) => (arrive = resolve));
      const held = new Promise<void>((resolve) => (goOn = resolve));
      // The first that is sent of the snapshot is on its way for as long as the test wants.
      stage.store.proxy.add(
        { kind: "slow", pauseMs: 0 },
        {
          matches: ({ path, method }) => method !== "GET" && path.includes(`/${ending.snapshotName}.`),
          onHit() {
            arrive();
            return held;
          },
        },
      );
      await ending.sandbox.delete();
      await arrived;
      try {
        expect(await killProgram(stage, program)).toBeGreaterThan(0);
      } finally {
        goOn();
      }
      await expectSaved(ending);
    },
  );

  it("are taken before the containers of an evicted pod are stopped", async () => {
    const ending = await make();
    await evict(ending);
    const record = await until(
      () => recordOf(ending).catch(() => undefined),
      (found) => found !== undefined && isFinished(snapshotState(found).phase),
      { timeoutMs: GOING_MS },
    );
    expect(record === undefined ? "" : snapshotState(record).phase).toBe("Succeeded");
    await ending.sandbox.delete();
    await expectSaved(ending);
  });

  it("are taken while their node is drained", async () => {
    const endings = [await make(), await make()];
    try {
      const selector = "--pod-selector=isola.run/sandbox=true";
      await kubectl("drain", NODE_NAME, selector, "--delete-emptydir-data", "--force", "--timeout=40s");
    } finally {
      await kubectl("uncordon", NODE_NAME);
    }
    await Promise.all(endings.map(({ sandbox }) => sandbox.delete()));
    for (const ending of endings) await expectSaved(ending);
  });

  it("hold no sandbox beyond their time while the store is away", async () => {
    const timeoutSeconds = 8;
    const ending = await make(timeoutSeconds);
    await stage.store.kill();
    try {
      const startMs = Date.now();
      await ending.sandbox.delete();
      await stage.gone(ending.sandbox);
      expect(Date.now() - startMs).toBeLessThan(timeoutSeconds * 1000 + GOING_MS);
    } finally {
      await stage.store.start();
    }
    const record = await until(
      () => recordOf(ending),
      (found) => isFinished(snapshotState(found).phase),
      { timeoutMs: GOING_MS },
    );
    expect(snapshotState(record)).toMatchObject({ phase: "Failed", message: expect.stringMatching(/\S/) });
    expect(await stage.store.manifest(ending.snapshotName)).toBeUndefined();
  });
});
