import { resolve } from "node:path";
import { renderTestbedEvent, renderTestbedStatus } from "#testbed/events.ts";
import { testbedDown, testbedKubeconfig, testbedStatus, testbedUp, type TestbedPorts } from "#testbed/node/testbed.ts";
import { storeSteps, testSteps } from "#testbed/node/testbed-steps.ts";
import { EXIT, Fault } from "../fault.ts";
import type { Testbed } from "../invocation.ts";
import { runAll, type World } from "./world.ts";

export async function runTestbed(options: Testbed, world: World): Promise<number> {
  const ports = portsOf(world);
  switch (options.action) {
    case "up":
      return testbedUp(ports);
    case "down":
      return testbedDown(ports);
    case "status": {
      const { status, exitCode } = await testbedStatus(ports);
      world.tell(renderTestbedStatus)(status);
      return exitCode;
    }
    case "kubeconfig": {
      const kubeconfig = await testbedKubeconfig();
      if (kubeconfig === undefined)
        throw new Fault("the testbed is not up; start it with `atoll testbed up`", { exitCode: EXIT.down });
      world.tell((found: { kubeconfig: string }) => found.kubeconfig)({ kubeconfig });
      return EXIT.done;
    }
  }
}

/** The testbed of a test run: one that was up before stays up, another goes with the run. */
export function createTestTestbed(world: World) {
  const ports = { ...portsOf(world), tell: (): void => undefined };
  let wasUp: boolean | undefined;
  return {
    async bringUp(): Promise<void> {
      const isFirst = wasUp === undefined;
      wasUp ??= (await testbedKubeconfig()) !== undefined;
      if (isFirst) await runAll(testSteps(ports), world);
      await testbedUp(ports);
    },
    async leave(): Promise<void> {
      if (wasUp === false) await testbedDown({ ...ports, signal: AbortSignal.timeout(LEAVE_WITHIN_MS) });
    },
  };
}

/** Builds the servers of object stores that tests run against. */
export function prepareStores(world: World): Promise<void> {
  return runAll(storeSteps(testbedRoot(world)), world);
}

const LEAVE_WITHIN_MS = 60_000;

/** Folder of the testbed. */
export function testbedRoot({ home, env }: World): string {
  return resolve(env["ATOLL_TESTBED_HOME"] || `${home}/testbed`);
}

function portsOf(world: World): TestbedPorts {
  const { home, searchPath, isRoot, signal } = world;
  return {
    root: testbedRoot(world),
    home,
    searchPath,
    isRoot,
    signal,
    tell: world.tell(renderTestbedEvent),
    runSteps: (steps) => runAll(steps, world),
  };
}
