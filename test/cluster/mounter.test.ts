import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { restoreProbePath, SNAPSHOT_DATA_FINALIZER, stopHookPath } from "#core/kubernetes/names.ts";
import { LEASES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { podName, SNAPSHOT_COLLECTOR_LEASE } from "#core/kubernetes/names.ts";
import { until } from "../harness/until.ts";
import { call } from "./cluster.ts";
import { AGENT, RUNNING, startMounterStage, type MounterStage } from "./mounter-stage.ts";

let stage: MounterStage;

beforeAll(async () => {
  stage = await startMounterStage();
  await stage.start();
  await stage.sandbox("box");
  await stage.podStatus("box", AGENT, RUNNING);
}, 180_000);
afterEach(() => stage.letSave());
afterAll(() => stage?.dispose());

const getRecord = (name: string) => stage.admin.get(ROOTFS_SNAPSHOTS, { namespace: stage.namespace, name }, call());
const getSandbox = (name: string) => stage.admin.get(SANDBOXES, { namespace: stage.namespace, name }, call());
const startingFrom = (...names: readonly string[]): Partial<SandboxResource["spec"]> => ({
  podTemplate: {
    spec: { containers: names.map((_, index) => ({ name: index === 0 ? "main" : `c${index}`, image: "debian:13" })) },
  },
  rootfsSnapshotSources: names.map((snapshotName, index) => ({
    snapshotName,
    containerName: index === 0 ? "main" : `c${index}`,
  })),
});
const probe = (sandboxUid: string, signal?: AbortSignal): Promise<number> =>
  stage.ask(restoreProbePath({ namespace: stage.namespace, sandboxUid }), signal);
const isThere = async (name: string): Promise<boolean> =>
  getRecord(name).then(
    () => true,
    () => false,
  );

describe("the mounter takes snapshots", () => {
  test("of its node's containers, and says in the record what came of it", async () => {
    await stage.record("taken", "box", { snapshotName: "work" });
    const ended = await stage.untilEnded("taken");
    expect(snapshotState(ended)).toMatchObject({
      phase: "Succeeded",
      result: {
        containerName: "main",
        writeId: ended.metadata.uid,
        snapshotKey: `rootfssnapshots/${stage.namespace}/work.json`,
        base: { image: "debian:13" },
        warnings: [expect.objectContaining({ code: "SocketsLeftOut", count: 1, examples: ["/s"] })],
      },
    });
    expect(ended.status?.publishBy).toBeDefined();
    const stored = await stage.stored();
    expect(stored).toContain("work.json");
    expect(
      stored.filter((name) => name.startsWith(`work.${ended.metadata.uid}-`) && name.endsWith(".tar.zst")),
    ).toHaveLength(1);
  });

  test("of no other node's, and of no container that is gone", async () => {
    await stage.record("foreign", "box", { node: "two" });
    await stage.sandbox("ended");
    await stage.podStatus("ended", { ...RUNNING, state: { terminated: { exitCode: 0 } } });
    await stage.record("late", "ended");
    expect(snapshotState(await stage.untilEnded("late"))).toMatchObject({ phase: "Failed", reason: "ContainerEnded" });
    expect(snapshotState(await getRecord("foreign")).phase).toBe("Running");
  });

  test("gives up what is over its time, or is removed, and leaves nothing of it", async () => {
    await stage.holdSaves();
    await stage.record("over", "box", { timeoutSeconds: 2 });
    await stage.record("removed", "box", { finalizers: [SNAPSHOT_DATA_FINALIZER] });
    await until(
      () => getRecord("over"),
      ({ status }) => status?.progress !== undefined,
    );
    await stage.admin.remove(ROOTFS_SNAPSHOTS, { namespace: stage.namespace, name: "removed" }, call());
    expect(snapshotState(await stage.untilEnded("over"))).toMatchObject({ reason: "DeadlineExceeded" });
    await until(
      () => isThere("removed"),
      (is) => !is,
    );
    expect((await stage.stored()).filter((name) => /^(over|removed)\./.test(name))).toEqual([]);
  });
});

describe("one mounter works for all", () => {
  test("it removes the data of a record that goes with it, and not that of a later one", async () => {
    await stage.record("first", "box", { snapshotName: "shared", finalizers: [SNAPSHOT_DATA_FINALIZER] });
    await stage.untilEnded("first");
    await stage.record("own", "box", { finalizers: [SNAPSHOT_DATA_FINALIZER] });
    await stage.untilEnded("own");
    // Within a second the later one of two records counts as the newer one.
    await stage.record("second", "box", { snapshotName: "shared" });
    await stage.untilEnded("second");
    for (const name of ["first", "own"])
      await stage.admin.remove(ROOTFS_SNAPSHOTS, { namespace: stage.namespace, name }, call());
    for (const name of ["first", "own"])
      await until(
        () => isThere(name),
        (is) => !is,
        { timeoutMs: 90_000 },
      );
    const stored = new Set(await stage.stored());
    expect([stored.has("shared.json"), stored.has("own.json")]).toEqual([true, false]);
  }, 120_000);

  test("it ends records of which nobody says how they ended, by what the store says", async () => {
    await stage.record("source", "box", { snapshotName: "settled" });
    const { metadata } = await stage.untilEnded("source");
    await stage.record("lost", "box", { node: "two" });
    await stage.patchRecord("lost", { publishBy: "2026-11-01T10:00:00Z", settle: true });
    expect(snapshotState(await stage.untilEnded("lost"))).toMatchObject({
      phase: "Failed",
      reason: "DeadlineExceeded",
    });
    // The manifest is that of the record itself: its end was lost, its work was not.
    await stage.patchRecord("source", { conditions: [], completionTime: null, snapshotKey: null, settle: true });
    const settled = await stage.untilEnded("source");
    expect(snapshotState(settled)).toMatchObject({ phase: "Succeeded", result: { writeId: metadata.uid } });
  });
});

describe("the mounter restores", () => {
  test("before the containers of ten sandboxes start from one snapshot, and clears away when they have", async () => {
    await stage.record("base", "box", { snapshotName: "ten" });
    await stage.untilEnded("base");
    const names = Array.from({ length: 10 }, (_, index) => `ten-${index}`);
    const sandboxes = await Promise.all(names.map((name) => stage.sandbox(name, startingFrom("ten"))));
    expect(await Promise.all(sandboxes.map(({ uid }) => probe(uid)))).toEqual(names.map(() => 200));
    expect(await Promise.all(sandboxes.map(({ uid }) => stage.restored(uid)))).toEqual(names.map(() => ["main.tar"]));
    expect((await getSandbox("ten-3")).status?.rootfsRestores).toMatchObject([
      { containerName: "main", snapshotName: "ten", phase: "Ready", base: { image: "debian:13" } },
    ]);
    await stage.podStatus("ten-0", RUNNING);
    await until(
      () => stage.restored(sandboxes[0]?.uid ?? ""),
      (left) => left.length === 0,
    );
    await stage.admin.remove(PODS, { namespace: stage.namespace, name: podName("ten-1") }, call(), {
      gracePeriodSeconds: 0,
    });
    await until(
      () => stage.restored(sandboxes[1]?.uid ?? ""),
      (left) => left.length === 0,
    );
    // An agent that was restarted is asked about again.
    expect(await probe(sandboxes[0]?.uid ?? "")).toBe(200);
  });

  test("waits for a snapshot that is still to come, and goes on as soon as it is there", async () => {
    const { uid } = await stage.sandbox("early", startingFrom("to-come"));
    const held = probe(uid);
    await until(
      () => getSandbox("early"),
      ({ status }) => status?.rootfsRestores?.[0]?.phase === "Waiting",
    );
    await stage.record("comes", "box", { snapshotName: "to-come" });
    expect(await held).toBe(200);
    expect(await stage.restored(uid)).toEqual(["main.tar"]);
  });

  test("says why a sandbox can never start, and holds it", async () => {
    const pinned = (hex: string): string => `debian@sha256:${hex.repeat(64)}`;
    const containers = [{ name: "main", image: pinned("b") }];
    const { uid } = await stage.sandbox("other-base", {
      ...startingFrom("pinned"),
      podTemplate: { spec: { containers } },
    });
    await stage.sandbox("pinned", { podTemplate: { spec: { containers: [{ name: "main", image: pinned("a") }] } } });
    await stage.podStatus("pinned", RUNNING);
    await stage.record("pinned", "pinned", { base: { image: pinned("a") } });
    await stage.untilEnded("pinned");
    const said = await until(
      () => getSandbox("other-base"),
      ({ status }) => status?.rootfsRestores?.[0]?.phase === "Failed",
    );
    expect(said.status?.rootfsRestores?.[0]?.message).toMatch(new RegExp(`${pinned("a")}.*${pinned("b")}`));
    await expect(probe(uid, AbortSignal.timeout(300))).rejects.toThrow();
  });
});

describe("the mounter answers kubelet", () => {
  test("that a container may stop when the snapshot at its sandbox's end is over", async () => {
    const terminationPolicy = { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 60 } } as const;
    const { uid } = await stage.sandbox("last", { terminationPolicy });
    const path = stopHookPath({ namespace: stage.namespace, sandboxUid: uid });
    let answer = 0;
    const held = stage.ask(path).then((status) => (answer = status));
    await until(
      async () => (await fetch(`http://127.0.0.1:${stage.port}/metrics`)).text(),
      (text) => text.includes("atoll_mounter_held_questions 1\n"),
    );
    expect(answer).toBe(0);
    const lastTransitionTime = new Date().toISOString();
    const said = {
      type: "RootfsSnapshot",
      status: "True",
      reason: "RootfsSnapshotComplete",
      message: "",
      lastTransitionTime,
    };
    const ref = { namespace: stage.namespace, name: "last" };
    await stage.admin.patch(SANDBOXES, ref, { status: { conditions: [said] } }, call(), { subresource: "status" });
    expect(await held).toBe(200);
    const nobody = { namespace: stage.namespace, sandboxUid: "11111111-2222-3333-4444-555555555555" };
    expect(await stage.ask(stopHookPath(nobody))).toBe(200);
  });
});

describe("the mounter that ends", () => {
  test("gives the lease up", async () => {
    await stage.kill("SIGTERM");
    expect(stage.log()).toContain("The mounter ended");
    const lease = await stage.admin.get(LEASES, { namespace: "system", name: SNAPSHOT_COLLECTOR_LEASE }, call());
    expect(lease.spec?.holderIdentity ?? "").toBe("");
    await stage.start();
  });

  test("brings to its end what it has begun when it is asked to end", async () => {
    await stage.holdSaves();
    await stage.record("nearly", "box");
    await until(
      () => getRecord("nearly"),
      ({ status }) => status?.progress?.phase === "Dumping",
    );
    const before = await stage.saves();
    const ending = stage.kill("SIGTERM");
    expect(await stage.ask("/healthz")).toBe(200);
    await stage.letSave();
    await ending;
    expect(snapshotState(await getRecord("nearly")).phase).toBe("Succeeded");
    expect(await stage.saves()).toBe(before);
    await stage.start();
  });

  test("begins anew what was under way when it was killed", async () => {
    await stage.holdSaves();
    await stage.record("again", "box");
    await until(
      () => getRecord("again"),
      ({ status }) => status?.progress?.phase === "Dumping",
    );
    const before = await stage.saves();
    await stage.kill();
    await stage.letSave();
    await stage.start();
    expect(snapshotState(await stage.untilEnded("again")).phase).toBe("Succeeded");
    expect(await stage.saves()).toBe(before + 1);
  });

  test("keeps what is in place when it is killed, and clears away what nobody needs any more", async () => {
    await stage.record("kept", "box");
    await stage.untilEnded("kept");
    const [kept, gone] = await Promise.all(
      ["kept-1", "kept-2"].map((name) => stage.sandbox(name, startingFrom("kept"))),
    );
    await Promise.all([probe(kept?.uid ?? ""), probe(gone?.uid ?? "")]);
    await stage.kill();
    await stage.admin.remove(PODS, { namespace: stage.namespace, name: podName("kept-2") }, call(), {
      gracePeriodSeconds: 0,
    });
    await stage.start();
    expect(await probe(kept?.uid ?? "")).toBe(200);
    expect([await stage.restored(kept?.uid ?? ""), await stage.restored(gone?.uid ?? "")]).toEqual([["main.tar"], []]);
  });
});
