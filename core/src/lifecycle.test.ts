import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SnapshotPhase } from "./snapshot/snapshot.ts";
import { decide, outcomeOf, type Observed, type ObservedContainer } from "./lifecycle.ts";

const spec = {
  containers: [{ name: "sandbox0", image: "img", env: {} }],
  startupTimeoutSeconds: 90,
  timeoutSeconds: 10,
};
const pending: Observed = { spec, createdAtMs: 1000, agentReady: false };
const up = { agentReady: true, containers: [{ name: "sandbox0", state: "running" }] } as const;
const exited = (...codes: (number | undefined)[]): ObservedContainer[] =>
  codes.map((exitCode, i) => ({
    name: `sandbox${i}`,
    state: "exited",
    ...(exitCode === undefined ? {} : { exitCode }),
  }));

describe("decide", () => {
  it("waits for Running until the startup deadline", () => {
    expect(decide(pending, 1000)).toEqual({ phase: "Pending", reason: "PodPending", nextDeadlineMs: 91_000 });
    expect(decide(pending, 90_999).phase).toBe("Pending");
    expect(decide(pending, 91_000)).toMatchObject({ phase: "Failed", reason: "StartupTimeoutExceeded" });
  });

  it("needs the agent and every container for Running", () => {
    expect(decide({ ...pending, ...up, agentReady: false }, 2000).phase).toBe("Pending");
    expect(decide({ ...pending, agentReady: true }, 2000).phase).toBe("Pending");
    const waiting = [...up.containers, { name: "sandbox1", state: "waiting" }] as const;
    expect(decide({ ...pending, agentReady: true, containers: waiting }, 2000).phase).toBe("Pending");
    expect(decide({ ...pending, ...up }, 2000)).toEqual({
      phase: "Running",
      reason: "PodRunning",
      nextDeadlineMs: 12_000,
    });
  });

  it("reports Running rather than a startup timeout when both hold", () => {
    expect(decide({ ...pending, ...up }, 91_000).phase).toBe("Running");
  });

  it("counts the lifetime from the first moment of Running and calls its end a success", () => {
    const running = { ...pending, ...up, startedAtMs: 5000 };
    expect(decide(running, 14_999)).toEqual({ phase: "Running", reason: "PodRunning", nextDeadlineMs: 15_000 });
    expect(decide(running, 15_000)).toMatchObject({ phase: "Succeeded", reason: "Timeout", nextDeadlineMs: 3_615_000 });
  });

  it("counts the lifetime from where it is told to, Running or not", () => {
    const counted = { ...pending, lifetimeFromMs: 3000 };
    expect(decide(counted, 12_999)).toEqual({ phase: "Pending", reason: "PodPending", nextDeadlineMs: 13_000 });
    expect(decide(counted, 13_000)).toMatchObject({ phase: "Succeeded", reason: "Timeout" });
    const running = { ...counted, ...up, startedAtMs: 5000 };
    expect(decide(running, 12_999)).toEqual({ phase: "Running", reason: "PodRunning", nextDeadlineMs: 13_000 });
    expect(decide({ ...pending, ...up, lifetimeFromMs: 3000 }, 6000).nextDeadlineMs).toBe(13_000);
  });

  it("says what a start waits for, and what it waited for in vain", () => {
    const waiting: Observed = { ...pending, waitsFor: 'the snapshot "s"' };
    expect(decide(waiting, 1000)).toMatchObject({
      reason: "WaitingForSnapshot",
      message: 'It waits for the snapshot "s".',
    });
    expect(decide(waiting, 91_000)).toMatchObject({
      reason: "StartupTimeoutExceeded",
      message: expect.stringContaining(': it waited for the snapshot "s".'),
    });
  });

  describe("with a snapshot at the end", () => {
    const running: Observed = { ...pending, ...up, startedAtMs: 5000, snapshotAtEnd: { timeoutSeconds: 30 } };
    const begun = (phase: SnapshotPhase, message?: string): Observed => ({
      ...running,
      snapshotAtEnd: {
        timeoutSeconds: 30,
        deadlineAtMs: 45_000,
        snapshot: { phase, ...(message === undefined ? {} : { message }) },
      },
    });
    const snapshotting = { phase: "Terminating", reason: "RootfsSnapshottingInProgress" };

    it("takes it when the lifetime is over, and ends when it is done", () => {
      const wanted = { kind: "take", deadlineAtMs: 45_000 };
      expect(decide(running, 15_000)).toEqual({ ...snapshotting, nextDeadlineMs: 45_000, snapshotAtEnd: wanted });
      expect(decide(begun("Running"), 20_000)).toMatchObject({ ...snapshotting, snapshotAtEnd: { kind: "wait" } });
      expect(decide(begun("Succeeded"), 20_000)).toMatchObject({ phase: "Succeeded", reason: "Timeout" });
    });

    it("takes it when removal is asked for, and goes when it is done", () => {
      const asked = { removeRequestedAtMs: 6000 };
      expect(decide({ ...running, ...asked }, 7000)).toMatchObject({ ...snapshotting, nextDeadlineMs: 36_000 });
      expect(decide({ ...begun("Running"), ...asked }, 7000)).toMatchObject(snapshotting);
      expect(decide({ ...begun("Succeeded"), ...asked }, 7000)).toMatchObject({ phase: "Terminating", remove: true });
    });

    it("never holds a sandbox for ever: by failure, by deadline, or when there is nothing to take", () => {
      expect(decide(begun("Failed", "No disk."), 20_000).message).toMatch(/lifetime of 10 s\. No disk\.$/);
      expect(decide(begun("Running"), 45_000)).toMatchObject({ phase: "Succeeded", reason: "Timeout" });
      const asked = { removeRequestedAtMs: 6000 };
      expect(decide({ ...begun("Running"), ...asked }, 45_000).remove).toBe(true);
      expect(decide({ ...running, ...asked, containers: exited(0) }, 7000).remove).toBe(true);
      expect(decide({ ...pending, ...asked, snapshotAtEnd: { timeoutSeconds: 30 } }, 7000).remove).toBe(true);
    });

    it("ends for the reason for which it was begun, also when a container ends meanwhile", () => {
      expect(decide({ ...begun("Running"), containers: exited(1) }, 20_000)).toMatchObject(snapshotting);
      expect(decide({ ...begun("Succeeded"), containers: exited(1) }, 20_000).reason).toBe("Timeout");
    });

    it("ends for the reason for which it was begun, also when a fault comes meanwhile", () => {
      const failure = { reason: "OutOfMemory", message: "Out of memory." } as const;
      expect(decide({ ...begun("Running"), failure }, 20_000)).toMatchObject(snapshotting);
      expect(decide({ ...begun("Failed"), failure }, 20_000).reason).toBe("Timeout");
    });

    it("takes it when somebody else stops the sandbox, and calls the sandbox lost when it is done", () => {
      const failure = { reason: "SandboxLost", message: "Lost." } as const;
      const stopped = { failure, stopRequestedAtMs: 6000 };
      expect(decide({ ...running, ...stopped }, 7000)).toMatchObject({ ...snapshotting, nextDeadlineMs: 36_000 });
      const deadlineAtMs = 36_000;
      const without = { ...running, failure, containers: [] };
      const wait = { ...without, snapshotAtEnd: { timeoutSeconds: 30, deadlineAtMs, snapshot: { phase: "Running" } } };
      expect(decide(wait as Observed, 8000)).toMatchObject(snapshotting);
      expect(decide({ ...begun("Succeeded"), ...stopped }, 8000)).toMatchObject({
        phase: "Failed",
        ...failure,
        snapshotEnded: { reason: "RootfsSnapshotComplete" },
      });
    });

    it("tells how it ended, and why none was taken", () => {
      const asked = { removeRequestedAtMs: 6000 };
      expect(decide({ ...begun("Succeeded"), ...asked }, 7000).snapshotEnded).toEqual({
        reason: "RootfsSnapshotComplete",
      });
      const obstacle = { reason: "InvalidRuntime", message: "No." } as const;
      const barred = { ...running, snapshotAtEnd: { timeoutSeconds: 30, obstacle } };
      expect(decide({ ...barred, ...asked }, 7000)).toMatchObject({ remove: true, snapshotEnded: obstacle });
      expect(decide(barred, 15_000)).toMatchObject({ reason: "Timeout", snapshotEnded: obstacle });
      expect(decide(barred, 15_000).message).toMatch(/lifetime of 10 s\. No\.$/);
      const free = { ...pending, ...asked, snapshotAtEnd: { timeoutSeconds: 30, obstacle: null } };
      expect(decide(free, 7000)).toMatchObject(snapshotting);
    });

    it("is not taken when the containers end by themselves", () => {
      expect(decide({ ...running, containers: exited(0) }, 6000)).toMatchObject({
        phase: "Succeeded",
        reason: "PodSucceeded",
      });
    });
  });

  it("has no lifetime deadline without timeoutSeconds", () => {
    const { timeoutSeconds: _, ...unlimited } = spec;
    expect(decide({ ...pending, ...up, spec: unlimited, startedAtMs: 5000 }, 1e12)).toEqual({
      phase: "Running",
      reason: "PodRunning",
    });
  });

  it("stays Running when the agent is away after the start", () => {
    expect(decide({ ...pending, ...up, agentReady: false, startedAtMs: 5000 }, 6000).phase).toBe("Running");
  });

  it.each([
    { codes: [0], phase: "Succeeded", reason: "PodSucceeded" },
    { codes: [0, 0], phase: "Succeeded", reason: "PodSucceeded" },
    { codes: [0, 3], phase: "Failed", reason: "PodFailed", message: 'The container "sandbox1" exited with code 3.' },
    {
      codes: [undefined],
      phase: "Failed",
      reason: "PodFailed",
      message: 'The container "sandbox0" ended without an exit code.',
    },
  ])("ends when all containers have exited: $codes", ({ codes, ...expected }) => {
    expect(
      decide({ ...pending, agentReady: true, startedAtMs: 5000, containers: exited(...codes) }, 6000),
    ).toMatchObject(expected);
  });

  it("goes on while one container of several runs", () => {
    const containers = [...exited(1), { name: "b", state: "running" }] as const;
    expect(decide({ ...pending, agentReady: true, startedAtMs: 5000, containers }, 6000).phase).toBe("Running");
  });

  it("lets a failure win over everything but an earlier end", () => {
    const failure = { reason: "OutOfMemory", message: "Out of memory." } as const;
    expect(decide({ ...pending, ...up, failure }, 2000)).toMatchObject({ phase: "Failed", ...failure });
    const ended = { phase: "Succeeded", reason: "Timeout", atMs: 1500 } as const;
    expect(decide({ ...pending, ...up, failure, ended }, 2000)).toMatchObject({
      phase: "Succeeded",
      reason: "Timeout",
    });
  });

  it("is Terminating after a removal request, whatever containers do then", () => {
    const removing = { ...pending, ...up, startedAtMs: 5000, removeRequestedAtMs: 6000 };
    const expected = { phase: "Terminating", reason: "Deleting", remove: true };
    expect(decide(removing, 6000)).toEqual(expected);
    expect(decide({ ...removing, containers: exited(137) }, 99_000)).toEqual(expected);
  });

  it("removes an ended record after the retention or on request", () => {
    const ended = { phase: "Failed", reason: "PodFailed", atMs: 2000 } as const;
    expect(decide({ ...pending, ended }, 2999, 1000)).toEqual({
      phase: "Failed",
      reason: "PodFailed",
      nextDeadlineMs: 3000,
    });
    expect(decide({ ...pending, ended }, 3000, 1000)).toEqual({ phase: "Failed", reason: "PodFailed", remove: true });
    expect(decide({ ...pending, ended, removeRequestedAtMs: 2500 }, 2500, 1000).remove).toBe(true);
  });
});

const containersArb = fc.array(
  fc.record(
    {
      name: fc.constant("c"),
      state: fc.constantFrom("waiting", "running", "exited"),
      exitCode: fc.integer({ min: 0, max: 255 }),
    },
    { requiredKeys: ["name", "state"] },
  ),
  { maxLength: 3 },
);
const observedArb: fc.Arbitrary<Observed> = fc.record(
  {
    spec: fc.constant(spec),
    createdAtMs: fc.constant(0),
    agentReady: fc.boolean(),
    containers: containersArb,
    startedAtMs: fc.nat(50_000),
    lifetimeFromMs: fc.nat(50_000),
    removeRequestedAtMs: fc.nat(50_000),
  },
  { requiredKeys: ["spec", "createdAtMs", "agentReady"] },
);

describe("decide, for any facts", () => {
  it("names only deadlines in the future, so that waiting for them makes progress", () => {
    fc.assert(
      fc.property(observedArb, fc.nat(200_000), (observed, nowMs) => {
        const { nextDeadlineMs } = decide(observed, nowMs, 1000);
        expect(nextDeadlineMs === undefined || nextDeadlineMs > nowMs).toBe(true);
      }),
    );
  });

  it("keeps a latched outcome until the removal", () => {
    fc.assert(
      fc.property(observedArb, observedArb, fc.nat(200_000), (before, after, nowMs) => {
        const first = decide(before, nowMs);
        const ended = outcomeOf(first, nowMs);
        fc.pre(ended !== undefined);
        const later = decide({ ...after, ended }, nowMs + 10);
        expect([later.phase, later.reason]).toEqual([first.phase, first.reason]);
      }),
    );
  });
});
