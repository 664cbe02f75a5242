import { resolve } from "node:path";
import { renderTestbedEvent, renderTestbedStatus } from "#testbed/events.ts";
import { testbedDown, testbedKubeconfig, testbedStatus, testbedUp, type TestbedPorts } from "#testbed/node/testbed.ts";
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

function portsOf(world: World): TestbedPorts {
  const { home, env, searchPath, isRoot, signal } = world;
  return {
    root: resolve(env["ATOLL_TESTBED_HOME"] || `${home}/testbed`),
    home,
    searchPath,
    isRoot,
    signal,
    tell: world.tell(renderTestbedEvent),
    runSteps: (steps) => runAll(steps, world),
  };
}
