import { once } from "node:events";
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { FLOWS, type Flow } from "./flow-table.ts";
import type { LabReport, Outcome } from "./lab-report.ts";
import { startLab } from "./start-lab.ts";

const LAB_TIMEOUT_MS = 60_000;
/** First bytes that pass before the receiver's clock starts: what the connection sends in its first window. */
const UNTIMED_BYTES = 65_536;

function expected(flow: Flow): Omit<Outcome, "name"> {
  return { arrived: flow.arrives, answer: flow.answer ?? (flow.arrives ? "reply" : "rejected") };
}

function outcomeOf(outcomes: readonly Outcome[], name: string): Omit<Outcome, "name"> | undefined {
  const found = outcomes.find((outcome) => outcome.name === name);
  return found && { arrived: found.arrived, answer: found.answer };
}

const named = FLOWS.map((flow) => [flow.name, flow] as const);
const stopped = named.filter(([, flow]) => !flow.arrives && flow.control !== false);

describe("flows of sandboxes through real packets", () => {
  let report: LabReport;

  beforeAll(async () => {
    report = JSON.parse(await (await startLab("flows.ts")).line) as LabReport;
  }, LAB_TIMEOUT_MS);

  it.each(named)("%s", (name, flow) => {
    expect(outcomeOf(report.enforced, name)).toEqual(expected(flow));
  });

  it.each(stopped)("without the rules it arrives: %s", (name) => {
    expect(outcomeOf(report.control, name)).toMatchObject({ arrived: true });
  });

  it("without the rules an answer from another port comes in", () => {
    const name = FLOWS.find(({ kind }) => kind === "hole")?.name ?? "";
    expect(outcomeOf(report.control, name)).toMatchObject({ answer: "reply" });
  });

  it("covers at least 60 flows, each with a name of its own", () => {
    expect(new Set(FLOWS.map(({ name }) => name)).size).toBe(FLOWS.length);
    expect(FLOWS.length).toBeGreaterThanOrEqual(60);
  });

  it("gVisor sandboxes whose policy came after their boot have the same flows", () => {
    const flows = report.guests.flatMap((guest) => guest.flows);
    const wanted = flows.map(({ name }) => ({ name, flow: FLOWS.find((flow) => flow.name === name) }));
    expect(flows).toEqual(wanted.map(({ name, flow }) => ({ name, ...(flow && expected(flow)) })));
    expect(flows.length).toBeGreaterThanOrEqual(40);
  });

  it("a rate limit holds to burst plus rate, whether packets wait or are dropped", () => {
    for (const upload of [...report.guests.map((guest) => guest.upload), report.policed]) {
      const atLeastMs = ((upload.bytes - upload.bucketBytes - UNTIMED_BYTES) / upload.bytesPerSecond) * 1000;
      expect(upload.tookMs).toBeGreaterThan(atLeastMs);
    }
  });

  it("detach() and remove() leave no link, connection or table", () => {
    expect(report.trackedBefore).toBeGreaterThan(10);
    expect(report.left).toEqual([]);
    expect(report.tables).toBe("");
  });
});

describe("the lab", () => {
  it("leaves nothing behind when it is killed", { timeout: LAB_TIMEOUT_MS }, async () => {
    const lab = await startLab("flows.ts", "hang");
    expect(await lab.line).toBe("hanging");
    const inside = descendants(lab.child.pid ?? 0);
    const networks = new Set(inside.map(networkOf));
    for (const other of [networkOf(process.pid), ""]) networks.delete(other);
    expect(networks.size).toBeGreaterThan(3);
    const closed = once(lab.child, "close");
    lab.child.kill("SIGKILL");
    await closed;
    await expect.poll(() => inside.filter(isAlive), { timeout: 10_000 }).toEqual([]);
    expect(processes().filter((pid) => networks.has(networkOf(pid)))).toEqual([]);
  });
});

/** Processes below this one, by their parents in /proc. */
function descendants(root: number): number[] {
  const parents = new Map(processes().map((pid) => [pid, parentOf(pid)]));
  const found = new Set([root]);
  for (let size = 0; size !== found.size;) {
    size = found.size;
    for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid);
  }
  return [...found];
}

function processes(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The network namespace of a process; those of the lab live only as long as its processes and mounts. */
function networkOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return "";
  }
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return 0;
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
