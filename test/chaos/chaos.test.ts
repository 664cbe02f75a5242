import { setTimeout as sleep } from "node:timers/promises";
import { expect, inject, it, vi } from "vitest";
import { LABEL, SANDBOX_NAMESPACE } from "#core/kubernetes/names.ts";
import { NETWORK_POLICIES, PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import type { Sandbox } from "#sdk";
import { call, findCluster } from "../cluster/cluster.ts";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { KILL_AGENT } from "../harness/restart-agent.ts";
import { openTestbed, type Testbed } from "../harness/testbed.ts";
import { startSteadyLoad } from "./steady-load.ts";

const MINUTES = process.env["ATOLL_SOAK"] === "1" ? 60 : 3;
const BETWEEN_KILLS_MS = 7000;
const CLIENTS = 4;
const COMMANDS_PER_SANDBOX = 12;
const SETTLE_MS = 120_000;
/** Longer than any outage between two sandboxes of the load. */
const VICTIM_MS = 30_000;

type Victim = "operator" | "gateway" | "agent" | "kube-apiserver";
const VICTIMS: readonly Victim[] = ["operator", "gateway", "agent", "kube-apiserver"];
/** Command lines of the platform's programs on the node, as regular expressions. */
const COMMAND_LINES = {
  operator: "^/bin/node /opt/atoll/operator.js",
  gateway: "^/bin/bun /opt/atoll/gateway.js",
} as const;

it(
  `no sandbox is lost, leaked or reported wrongly while parts are killed for ${MINUTES} minutes`,
  async () => {
    const testbed = await openTestbed();
    const client = (await findCluster()).client();
    const load = startSteadyLoad({
      url: inject("gatewayUrl"),
      image: TEST_IMAGE,
      clients: CLIENTS,
      commandsPerSandbox: COMMANDS_PER_SANDBOX,
    });
    const killed: Record<Victim, number> = { operator: 0, gateway: 0, agent: 0, "kube-apiserver": 0 };
    const deadlineMs = Date.now() + MINUTES * 60_000;
    for (let turn = 0; Date.now() < deadlineMs; turn++) {
      await sleep(BETWEEN_KILLS_MS * (0.5 + Math.random()));
      const victim = VICTIMS[turn % VICTIMS.length] ?? "operator";
      if (await kill(victim, testbed, load.running)) killed[victim]++;
    }
    const report = await load.stop();
    console.log(JSON.stringify({ killed, ...report }));
    expect(report.wrong).toEqual([]);
    expect(report.created).toBe(report.removed);
    expect(report.right).toBeGreaterThan(report.created);
    expect(Object.entries(killed).filter(([, times]) => times === 0)).toEqual([]);

    const labelSelector = `${LABEL.sandbox}=true`;
    const left = async (): Promise<string[]> => {
      const query = { namespace: SANDBOX_NAMESPACE };
      const [sandboxes, pods, policies] = await Promise.all([
        client.list(SANDBOXES, query, call()),
        client.list(PODS, { ...query, labelSelector }, call()),
        client.list(NETWORK_POLICIES, query, call()),
      ]);
      const own = policies.items.filter(({ metadata }) => metadata.ownerReferences !== undefined);
      return [...sandboxes.items, ...pods.items, ...own].map(({ metadata }) => metadata.name);
    };
    await vi.waitFor(async () => expect(await left()).toEqual([]), { timeout: SETTLE_MS, interval: 500 });
  },
  MINUTES * 60_000 + 600_000,
);

/** Kills one process of the victim's kind with SIGKILL; false when there was none. */
async function kill(victim: Victim, testbed: Testbed, running: () => readonly Sandbox[]): Promise<boolean> {
  if (victim === "kube-apiserver") {
    await testbed.control.kill("kube-apiserver", "SIGKILL");
    return true;
  }
  if (victim === "agent") {
    // The outage before may have left none.
    const deadlineMs = Date.now() + VICTIM_MS;
    while (running().length === 0 && Date.now() < deadlineMs) await sleep(50);
    const sandbox = anyOf(running());
    // As its user can: all containers of a sandbox share their process ids. The agent may die before it answers.
    await sandbox?.commands.run(["sh", "-c", KILL_AGENT], {}, { timeoutMs: 10_000 }).catch(() => undefined);
    return sandbox !== undefined;
  }
  const pids = testbed
    .onNode(["sh", "-c", `pgrep -f "${COMMAND_LINES[victim]}" || true`])
    .split("\n")
    .filter(Boolean);
  const pid = anyOf(pids);
  if (pid !== undefined) testbed.onNode(["kill", "-9", pid]);
  return pid !== undefined;
}

function anyOf<T>(items: readonly T[]): T | undefined {
  return items[Math.floor(Math.random() * items.length)];
}
