import { renderFindings } from "../display/doctor-text.ts";
import { renderStatus } from "../display/up-text.ts";
import { findings } from "../doctor/findings.ts";
import { EXIT } from "../fault.ts";
import type { Doctor } from "../invocation.ts";
import { findListenObstacle } from "../node/gateway-process.ts";
import { measureDisk } from "../node/measure-disk.ts";
import { readMachineFacts } from "../node/read-machine-facts.ts";
import { readVersion } from "../node/read-version.ts";
import { status } from "../verb/status.ts";
import { createGateway, plan } from "./gateway.ts";
import type { World } from "./world.ts";

export async function runStatus(world: World): Promise<number> {
  const gateway = createGateway(world);
  const { report, exitCode } = await status({
    home: world.home,
    running: gateway.store.running,
    isReady: gateway.isReady,
    sandboxStates: (url) =>
      gateway.sandboxes(url).then(
        (all) => all.map(({ status: state }) => state),
        () => undefined,
      ),
    diskBytes: () => measureDisk(world.home),
  });
  world.tell(renderStatus)(report);
  return exitCode;
}

export async function runDoctor(options: Doctor, world: World): Promise<number> {
  const { hostname, port } = plan(world, { port: options.port, insecure: true }).listen;
  const up = await createGateway(world)
    .store.running()
    .catch(() => undefined);
  const portObstacle = await findListenObstacle(hostname, port);
  const { home, searchPath } = world;
  const facts = await readMachineFacts({ home, port, searchPath, env: world.env, portObstacle, upAt: up?.url });
  const found = findings(facts);
  const canRun = found.every(({ level }) => level !== "missing");
  world.tell((all: { findings: typeof found; canRun: boolean }) => renderFindings(all.findings))({
    canRun,
    findings: found,
  });
  return canRun ? EXIT.done : EXIT.failed;
}

export async function runVersion(world: World): Promise<number> {
  const version = await readVersion(world.repo);
  world.tell(({ commit, ...rest }: typeof version) => {
    return `atoll ${rest.version}${commit === undefined ? "" : ` (${commit})`}, Node ${rest.node}, Bun ${rest.bun}`;
  })(version);
  return EXIT.done;
}
