import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { createLayout } from "#testbed/layout.ts";
import { findBox } from "#testbed/node/box.ts";
import { openTestbed } from "../harness/testbed.ts";
import { machineSettings, onMachine } from "./on-machine.ts";

const REPO = resolve(import.meta.dirname, "../..");

interface Told {
  readonly event?: string;
  readonly step?: string;
  readonly state?: string;
}

async function atoll(action: string, env: Record<string, string> = {}) {
  const child = spawn(join(REPO, "atoll"), ["testbed", action, "--json"], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const told: Told[] = [];
  const stderr: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  createInterface({ input: child.stdout }).on("line", (line) => told.push(JSON.parse(line) as Told));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, told, stderr: Buffer.concat(stderr).toString() };
}

const NOTHING = { processes: [], mounts: [], links: [], routes: [], packetRules: [], controlGroups: [] };

describe("./atoll testbed", { timeout: 120_000 }, () => {
  test("up, while it is up, says so and changes nothing", async () => {
    const { layout } = await openTestbed();
    const before = await findBox();
    const { code, told } = await atoll("up");
    expect([code, told]).toEqual([0, [{ event: "already-up", root: layout.root, kubeconfig: layout.kubeconfig }]]);
    expect(await findBox()).toEqual(before);
  });

  test("up of a second testbed names the first, and changes nothing", async () => {
    const { layout } = await openTestbed();
    const other = mkdtempSync(join(tmpdir(), "atoll-testbed-"));
    const { code, stderr } = await atoll("up", { ATOLL_TESTBED_HOME: other });
    rmSync(other, { recursive: true });
    expect([code, stderr]).toEqual([
      1,
      `atoll: a testbed is up in ${layout.root}, and a machine has one at a time; take that one down first\n`,
    ]);
    expect((await atoll("status")).code).toBe(0);
  });

  test("down leaves nothing on the machine; up again builds nothing anew", async () => {
    const { layout } = await openTestbed();
    const up = onMachine(layout);
    const settings = machineSettings();
    // What is looked for is there while it is up, and the machine's own rules and mounts are never touched.
    expect({
      ...up,
      processes: up.processes.length > 8,
      links: up.links.length,
      routes: up.routes.length > 2,
      controlGroups: up.controlGroups.length > 0,
    }).toEqual({
      ...NOTHING,
      processes: true,
      links: 1,
      routes: true,
      controlGroups: true,
    });
    expect((await atoll("down")).told).toEqual([{ event: "down" }]);
    expect(onMachine(layout)).toEqual(NOTHING);
    expect(machineSettings()).toEqual(settings);
    expect(await atoll("down")).toMatchObject({ code: 0, told: [{ event: "not-up" }] });
    expect((await atoll("status")).code).toBe(3);
    expect(await atoll("kubeconfig")).toMatchObject({ code: 3 });

    const { code, told } = await atoll("up");
    const started = told.filter(({ state }) => state === "start").map(({ step }) => step);
    expect([code, started]).toEqual([0, ["node", "cluster-dns"]]);
    expect(machineSettings()).toEqual(settings);
    expect((await atoll("status")).code).toBe(0);
  });

  test("up after the node has crashed clears away what it left", async () => {
    const box = await findBox();
    process.kill(box?.pid ?? 0, "SIGKILL");
    await expect.poll(async () => (await atoll("status")).code, { timeout: 20_000 }).toBe(3);
    expect((await atoll("up")).code).toBe(0);
    expect((await findBox())?.pid).not.toBe(box?.pid);
    const { kubectl } = await openTestbed();
    expect(await kubectl(["get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.labels.k8s-app}"])).toBe("kube-dns");
  });

  test("down while up is at work waits for it, and the node is gone afterwards", async () => {
    expect((await atoll("down")).code).toBe(0);
    const up = atoll("up");
    await expect.poll(findBox, { timeout: 60_000 }).toBeDefined();
    const down = await atoll("down");
    expect([(await up).code, down.code, down.told.at(-1)]).toEqual([0, 0, { event: "down" }]);
    expect(onMachine(createLayout(process.env["ATOLL_TESTBED_HOME"] ?? "/var/lib/atoll/testbed"))).toEqual(NOTHING);
  });

  test("up that is interrupted leaves nothing", async () => {
    expect((await atoll("down")).code).toBe(0);
    const child = spawn(join(REPO, "atoll"), ["testbed", "up", "--json"], { stdio: "ignore" });
    await expect.poll(findBox, { timeout: 60_000, interval: 20 }).toBeDefined();
    child.kill("SIGINT");
    const [code] = (await once(child, "close")) as [number | null];
    expect(code).toBe(130);
    expect(onMachine(createLayout(process.env["ATOLL_TESTBED_HOME"] ?? "/var/lib/atoll/testbed"))).toEqual(NOTHING);
    expect((await atoll("up")).code).toBe(0);
  });
});
