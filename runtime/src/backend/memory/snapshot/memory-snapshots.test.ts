import { describe, expect, it } from "vitest";
import { silentLog } from "#core/log.ts";
import type { SandboxSpec } from "#core/sandbox.ts";
import type { SnapshotSpec } from "#core/snapshot/snapshot.ts";
import { createManualClock } from "../../../../../test/harness/manual-clock.ts";
import { agentCalls } from "../../../../test/conformance/agent-calls.ts";
import { createMemoryBackend } from "../create-memory-backend.ts";

const call = { signal: new AbortController().signal, log: silentLog };

const DIGEST = `sha256:${"a".repeat(64)}`;

/** A backend on a clock of its own, where writing a snapshot takes two seconds. */
function world(snapshotMs = 2000) {
  const clock = createManualClock();
  const backend = createMemoryBackend({ clock, snapshotMs: () => snapshotMs, imageDigest: async () => DIGEST });
  const snapshots = backend.snapshots!;

  async function running(id: string, rest: Partial<SandboxSpec> = {}, rootfsSnapshotName?: string) {
    const container = {
      name: "main",
      image: "x",
      env: {},
      ...(rootfsSnapshotName === undefined ? {} : { rootfsSnapshotName }),
    };
    const spec = { containers: [container], startupTimeoutSeconds: 90, ...rest };
    await backend.create({ id, spec, requestDigest: "d" }, call);
    await clock.advance(0);
    return agentCalls(await backend.agent(id, call));
  }
  async function take(id: string, of: Partial<SnapshotSpec> = {}) {
    const spec = { sandboxId: "box", snapshotName: "snap", timeoutSeconds: 300, ttlSecondsAfterFinished: 60, ...of };
    await snapshots.create({ id, spec, requestDigest: "d" }, call);
    await clock.advance(0);
  }
  return { clock, backend, snapshots, running, take, view: (id: string) => snapshots.get(id, call) };
}

describe("createMemorySnapshots()", () => {
  it("shows how far it is, and holds what was there when it began", async () => {
    const { clock, running, take, view } = world();
    const agent = await running("box");
    await agent.put("/srv/a", "before");
    await take("one");
    expect(await view("one")).toMatchObject({ phase: "Running", progress: { phase: "Dumping", bytesTotal: 6 } });
    await agent.put("/srv/a", "after");
    await clock.advance(1000);
    expect(await view("one")).toMatchObject({ phase: "Running", progress: { phase: "Uploading" } });
    await clock.advance(1000);
    const done = await view("one");
    expect(done).toMatchObject({ phase: "Succeeded", result: { bytes: 6, containerName: "main" } });
    expect(done).not.toHaveProperty("progress");
    const restored = await running("copy", {}, "snap");
    expect(await (await restored.get("/srv/a")).text()).toBe("before");
  });

  it("fails when its time is over, the wait for another of its name included, and writes nothing", async () => {
    const { clock, running, take, view, backend } = world(10_000);
    await running("box");
    await take("first", { timeoutSeconds: 5 });
    await take("second", { timeoutSeconds: 3 });
    expect(await view("second")).toMatchObject({ phase: "Pending", reason: "WaitingForTurn" });
    // It was asked for a moment later than the first.
    await clock.advance(3001);
    expect(await view("second")).toMatchObject({ phase: "Failed", reason: "DeadlineExceeded" });
    await clock.advance(2000);
    expect(await view("first")).toMatchObject({ phase: "Failed", reason: "DeadlineExceeded" });
    await clock.advance(10_000);
    const waiting = { name: "main", image: "x", env: {}, rootfsSnapshotName: "snap" };
    await backend.create(
      { id: "w", spec: { containers: [waiting], startupTimeoutSeconds: 90 }, requestDigest: "d" },
      call,
    );
    await clock.settle();
    expect((await backend.get("w", call)).reason).toBe("WaitingForSnapshot");
  });

  it("forgets the record after its time, and not what it wrote", async () => {
    const { clock, running, take, view } = world();
    await running("box");
    await take("one");
    await clock.advance(2000 + 59_999);
    expect((await view("one")).phase).toBe("Succeeded");
    await clock.advance(1);
    await expect(view("one")).rejects.toMatchObject({ slug: "snapshot-not-found" });
    await running("copy", {}, "snap");
  });

  it("keeps a record without a time to live long enough for who asks once a second", async () => {
    const { clock, running, take, view } = world();
    await running("box");
    await take("one", { ttlSecondsAfterFinished: 0 });
    await clock.advance(2000 + 4999);
    expect((await view("one")).phase).toBe("Succeeded");
    await clock.advance(1);
    await expect(view("one")).rejects.toMatchObject({ slug: "snapshot-not-found" });
  });

  it("gives up one that is removed, and lets the next of its name go on", async () => {
    const { clock, running, take, view, snapshots } = world();
    await running("box");
    await take("one");
    await take("two");
    await snapshots.remove("one", call);
    await clock.advance(0);
    expect((await view("two")).phase).toBe("Running");
    await clock.advance(2000);
    expect((await view("two")).phase).toBe("Succeeded");
  });

  it("does not hold a sandbox beyond the deadline of the snapshot at its end", async () => {
    const { clock, running, backend, view } = world(3_600_000);
    const terminationPolicy = { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 5 } } as const;
    await running("box", { terminationPolicy });
    await backend.remove("box", call);
    await clock.advance(4999);
    expect(await backend.get("box", call)).toMatchObject({
      phase: "Terminating",
      reason: "RootfsSnapshottingInProgress",
    });
    await backend.remove("box", call);
    await clock.advance(1);
    await expect(backend.get("box", call)).rejects.toMatchObject({ slug: "sandbox-not-found" });
    expect(await view("box-termination")).toMatchObject({ phase: "Failed", reason: "DeadlineExceeded" });
  });
});
