import { describe, expect, it } from "vitest";
import type { Pod } from "#core/kubernetes/pod.ts";
import type { Sandbox } from "#core/sandbox.ts";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { AgentRelease } from "./agent-release.ts";

const UID = "uid-1";
const running = { id: "box", phase: "Running", reason: "PodRunning" } as Sandbox;
const failed = { id: "box", phase: "Failed", reason: "DiskPressure", message: "too much." } as Sandbox;
const EVICTED = { phase: "Failed", reason: "Evicted", message: "low on\ndisk" } as const;

function podOf(status: Pod["status"], deletionTimestamp?: string): Pod {
  const metadata = { name: "box-pod", ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) };
  return { metadata, spec: { containers: [] }, ...(status === undefined ? {} : { status }) };
}

function world() {
  const clock = createManualClock();
  const known = new Set([UID]);
  const told: string[] = [];
  const forget = (uid: string, reason?: Error): void => {
    if (known.delete(uid)) told.push(reason?.message ?? "");
  };
  const release = new AgentRelease({ clock, agents: { knows: (uid) => known.has(uid), forget } });
  return { clock, known, told, release };
}

describe("AgentRelease", () => {
  it("leaves a sandbox alone that runs, or whose pod only is to go", async () => {
    const { clock, told, release } = world();
    release.consider(UID, running, podOf({ phase: "Running" }));
    release.consider(UID, running, podOf({ phase: "Running" }, "2026-01-01T00:00:00Z"));
    release.consider(UID, running, undefined);
    await clock.advance(60_000);
    expect(told).toEqual([]);
  });

  it.each([
    {
      what: "the node's words before the operator's",
      sandbox: running,
      is: 'The sandbox "box" has ended: low on disk',
    },
    { what: "the operator's", sandbox: failed, is: 'The sandbox "box" has ended (DiskPressure): too much.' },
  ])("ends at once what waits for a pod that has ended, with $what", ({ sandbox, is }) => {
    const { told, release } = world();
    release.consider(UID, sandbox, podOf(EVICTED));
    expect(told).toEqual([is]);
  });

  it("waits a little for an agent whose pod still goes, and no longer", async () => {
    const { clock, told, release } = world();
    const pod = podOf({ phase: "Running" }, "2026-01-01T00:00:00Z");
    release.consider(UID, failed, pod);
    release.consider(UID, failed, pod);
    await clock.advance(2999);
    expect(told).toEqual([]);
    await clock.advance(1);
    expect(told).toEqual(['The sandbox "box" has ended (DiskPressure): too much.']);
  });

  it("holds nothing once it is closed", async () => {
    const { clock, known, release } = world();
    release.consider(UID, failed, undefined);
    release.close();
    expect(known.size).toBe(0);
    await clock.advance(60_000);
  });
});
