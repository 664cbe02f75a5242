import { systemClock } from "#core/clock.ts";
import { NotFoundError, type Atoll } from "#sdk";
import { renderDown, renderUp } from "../display/up-text.ts";
import { runFirstSandbox } from "../first-sandbox.ts";
import { Fault } from "../fault.ts";
import type { Down, Up } from "../invocation.ts";
import { findFreePort, findListenObstacle } from "../node/gateway-process.ts";
import { hasLeftOvers } from "../node/find-left-overs.ts";
import { lockHome } from "../node/home-lock.ts";
import { down } from "../verb/down.ts";
import { up } from "../verb/up.ts";
import { createGateway, lastWords, plan } from "./gateway.ts";
import { makeHome, setUp, type World } from "./world.ts";

export async function runUp(options: Up, world: World): Promise<number> {
  const gateway = createGateway(world);
  const { hostname, port } = plan(world, options).listen;
  if (world.isRoot) await makeHome(world.home);
  return up(options, {
    ...world,
    clock: systemClock,
    tell: world.tell(renderUp),
    lock: (onWait) => lockHome(world.home, { signal: world.signal, onWait }),
    running: gateway.store.running,
    listenObstacle: () => findListenObstacle(hostname, port),
    setUp: () => setUp(world),
    start: () => gateway.start(options),
    stop: gateway.stop,
    isReady: gateway.isReady,
    runFirstSandbox: async (url) => runFirstSandbox(await gateway.client(url), world.signal),
    countSandboxes: async (url) => (await gateway.sandboxes(url).catch(() => [])).length,
    lastWords: () => lastWords(gateway.store.logFile),
  });
}

export async function runDown(options: Down, world: World): Promise<number> {
  const gateway = createGateway(world);
  if (world.isRoot) await makeHome(world.home);
  return down(options, {
    isRoot: world.isRoot,
    clock: systemClock,
    tell: world.tell(renderDown),
    lock: (onWait) => lockHome(world.home, { signal: world.signal, onWait }),
    running: gateway.store.running,
    leftOvers: () => hasLeftOvers(world.home),
    startQuietly: () => startQuietly(gateway),
    stop: gateway.stop,
    listSandboxes: async (url) => (await gateway.sandboxes(url)).map(({ id }) => id),
    removeSandbox: async (url, id) => removeSandbox(await gateway.client(url), id),
  });
}

/** A sandbox that is gone already is as good as removed. */
async function removeSandbox(client: Atoll, id: string): Promise<void> {
  try {
    await (await client.sandboxes.get(id)).delete();
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
  }
}

const READY_WITHIN_MS = 60_000;

async function startQuietly(gateway: ReturnType<typeof createGateway>) {
  const { record } = await gateway.start({ listen: "127.0.0.1", port: await findFreePort(), insecure: false });
  const deadlineMs = systemClock.now() + READY_WITHIN_MS;
  while (!(await gateway.isReady(record.url))) {
    const gone = (await gateway.store.running()) === undefined;
    if (!gone && systemClock.now() < deadlineMs) {
      await systemClock.sleep(50);
      continue;
    }
    if (!gone) await gateway.stop(record);
    throw new Fault(
      `sandboxes of an earlier run are left, and the gateway that removes them did not start; its log is ${record.logFile}`,
    );
  }
  return record;
}
