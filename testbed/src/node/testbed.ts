import { rm } from "node:fs/promises";
import { cidr, overlaps, parseCidr } from "#core/cidr.ts";
import { systemClock } from "#core/clock.ts";
import { EXIT, Fault } from "#cli/fault.ts";
import { lockHome } from "#cli/node/home-lock.ts";
import { measureDisk } from "#cli/node/measure-disk.ts";
import { runStepTool } from "#cli/setup/node/step-tool.ts";
import type { SetupStep } from "#cli/setup/step.ts";
import { parseRoutes } from "#runtime/backend/local/host-routes.ts";
import type { TestbedEvent, TestbedStatus } from "../events.ts";
import { API_SERVER_URL, createLayout, NETWORK, REGISTRY_FROM_HOST } from "../layout.ts";
import { endBox, findBox } from "./box.ts";
import { createBoxControl } from "./box-control.ts";
import { existingGroups } from "./control-groups.ts";
import { testbedSteps } from "./testbed-steps.ts";

export interface TestbedPorts {
  readonly root: string;
  /** ATOLL_HOME: its base image becomes the cluster's. */
  readonly home: string;
  readonly searchPath: string;
  readonly isRoot: boolean;
  readonly signal: AbortSignal;
  readonly tell: (event: TestbedEvent) => void;
  /** Shows steps as they run. */
  readonly runSteps: (steps: readonly SetupStep[]) => Promise<void>;
}

/** Brings the cluster up; nothing of it is left when that fails. */
export async function testbedUp(ports: TestbedPorts): Promise<number> {
  const layout = createLayout(ports.root);
  return locked(ports, async () => {
    const startedMs = systemClock.now();
    const { root, signal, tell } = ports;
    const there = await findBox();
    if (there !== undefined && there.root !== root)
      throw new Fault(`a testbed is up in ${there.root}, and a machine has one at a time; take that one down first`);
    if (there !== undefined) {
      tell({ event: "already-up", root, kubeconfig: layout.kubeconfig });
      return EXIT.done;
    }
    await endBox([layout], signal);
    await requireAddresses(signal);
    await rm(layout.logs, { recursive: true, force: true });
    try {
      await ports.runSteps(await testbedSteps({ layout, home: ports.home, searchPath: ports.searchPath }));
    } catch (error) {
      // An interrupt has used up the signal, and the box must go all the same.
      await endBox([layout], AbortSignal.timeout(UNDO_WITHIN_MS));
      throw error;
    }
    const { bin, kubeconfig } = layout;
    tell({ event: "usage", bin, kubeconfig, registry: REGISTRY_FROM_HOST, elapsedMs: systemClock.now() - startedMs });
    return EXIT.done;
  });
}

const UNDO_WITHIN_MS = 60_000;

/** Removes the cluster that is up, whosever it is, with all that it made. */
export async function testbedDown(ports: TestbedPorts): Promise<number> {
  return locked(ports, async () => {
    const there = await findBox();
    const isLeft = there !== undefined || (await existingGroups()).length > 0;
    const layouts = new Set([ports.root, there?.root ?? ports.root]);
    await endBox([...layouts].map(createLayout), ports.signal);
    ports.tell({ event: isLeft ? "down" : "not-up" });
    return EXIT.done;
  });
}

export async function testbedStatus({
  root,
}: {
  readonly root: string;
}): Promise<{ status: TestbedStatus; exitCode: number }> {
  const box = await findBox();
  const layout = createLayout(box?.root ?? root);
  const diskBytes = await measureDisk(layout.root);
  const disk = diskBytes === undefined ? {} : { diskBytes };
  if (box === undefined) return { status: { up: false, root, ...disk }, exitCode: EXIT.down };
  const components = await createBoxControl(layout)
    .components()
    .catch(() => undefined);
  const status = {
    up: true,
    root: layout.root,
    startedAt: box.startedAt,
    apiServer: API_SERVER_URL,
    kubeconfig: layout.kubeconfig,
    registry: REGISTRY_FROM_HOST,
    logs: layout.logs,
    ...(components === undefined ? {} : { components }),
    ...disk,
  };
  const isHealthy = components?.every(({ healthy }) => healthy) ?? false;
  return { status, exitCode: isHealthy ? EXIT.done : EXIT.failed };
}

/** The kubeconfig of the cluster that is up; undefined when none is. */
export async function testbedKubeconfig(): Promise<string | undefined> {
  const box = await findBox();
  return box === undefined ? undefined : createLayout(box.root).kubeconfig;
}

async function locked(ports: TestbedPorts, run: () => Promise<number>): Promise<number> {
  if (!ports.isRoot) throw new Fault("root is needed to run a node of Kubernetes; run it with sudo");
  const onWait = (): void => ports.tell({ event: "waiting" });
  const lock = await lockHome(ports.root, { signal: ports.signal, onWait });
  try {
    return await run();
  } finally {
    await lock.release();
  }
}

/** A route of the machine into the cluster's addresses would lead astray what is meant for the cluster. */
async function requireAddresses(signal: AbortSignal): Promise<void> {
  const failure = "The machine's routes cannot be read";
  const routes = parseRoutes(
    await runStepTool(["ip", "-j", "-4", "route", "show", "table", "all"], { signal, failure }),
  );
  const ranges = [`${NETWORK.nodeIp}/32`, NETWORK.podCidr, NETWORK.serviceCidr].map(cidr);
  for (const { dst, dev } of routes) {
    const range = parseCidr(dst.includes("/") ? dst : `${dst}/32`);
    // A wider route stands back behind the cluster's own.
    if (range === undefined || !ranges.some((own) => overlaps(own, range) && range.prefix >= own.prefix)) continue;
    throw new Fault(`this machine has a route to ${dst} on ${dev}, and the testbed needs these addresses for itself`);
  }
}
