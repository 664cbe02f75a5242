import type { Clock } from "#core/clock.ts";
import { EXIT, Fault, sentenceOf } from "../fault.ts";
import type { GatewayRecord } from "../gateway/gateway-record.ts";

/** What `up` tells, in this order; set-up tells of its own steps. */
export type UpEvent =
  | { readonly event: "already-up"; readonly url: string; readonly pid: number }
  | { readonly event: "waiting" }
  | { readonly event: "started"; readonly url: string; readonly pid: number; readonly logFile: string }
  | { readonly event: "ready"; readonly url: string; readonly elapsedMs: number }
  | { readonly event: "first-sandbox"; readonly output: string; readonly elapsedMs: number }
  | { readonly event: "usage"; readonly url: string; readonly detached: boolean; readonly logFile: string }
  | { readonly event: "stopping" }
  | { readonly event: "stopped"; readonly sandboxesLeft: number };

/** What `up` needs from the world. */
export interface UpPorts {
  readonly isRoot: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly tell: (event: UpEvent) => void;
  readonly lock: (onWait: () => void) => Promise<{ release(): Promise<void> }>;
  readonly running: () => Promise<GatewayRecord | undefined>;
  /** Why the gateway cannot listen where it should. */
  readonly listenObstacle: () => Promise<string | undefined>;
  readonly setUp: () => Promise<void>;
  readonly start: () => Promise<RunningGateway>;
  /** Stops the gateway and forgets it. */
  readonly stop: (record: GatewayRecord) => Promise<void>;
  readonly isReady: (url: string) => Promise<boolean>;
  readonly runFirstSandbox: (url: string) => Promise<string>;
  readonly countSandboxes: (url: string) => Promise<number>;
  /** The last words of a gateway that ended. */
  readonly lastWords: () => Promise<string>;
}

export interface RunningGateway {
  readonly record: GatewayRecord;
  readonly ended: Promise<string>;
  /** Lets this process end while the gateway goes on. */
  readonly leave: () => void;
}

const READY_WITHIN_MS = 60_000;
const POLL_MS = 50;

/** Sets up, starts, proves and stays; answers the exit code. */
export async function up(options: { detach: boolean; first: boolean }, ports: UpPorts): Promise<number> {
  if (!ports.isRoot)
    throw new Fault("root is needed to make network namespaces, cgroups and sandboxes; run it with sudo");
  if (await tellIfUp(ports)) return EXIT.done;
  const lock = await ports.lock(() => ports.tell({ event: "waiting" }));
  let gateway: RunningGateway;
  try {
    if (await tellIfUp(ports)) return EXIT.done;
    gateway = await bringUp(options, ports);
  } finally {
    await lock.release();
  }
  const { url, logFile } = gateway.record;
  ports.tell({ event: "usage", url, detached: options.detach, logFile });
  if (!options.detach) return stay(gateway, ports);
  gateway.leave();
  return EXIT.done;
}

async function tellIfUp(ports: UpPorts): Promise<boolean> {
  const record = await ports.running();
  if (record === undefined) return false;
  ports.tell({ event: "already-up", url: record.url, pid: record.pid });
  return true;
}

async function bringUp({ first }: { first: boolean }, ports: UpPorts): Promise<RunningGateway> {
  await refuseTakenPort(ports);
  await ports.setUp();
  await refuseTakenPort(ports);
  const startedMs = ports.clock.now();
  const gateway = await ports.start();
  const { url, pid, logFile } = gateway.record;
  try {
    ports.tell({ event: "started", url, pid, logFile });
    await untilReady(gateway, ports);
    ports.tell({ event: "ready", url, elapsedMs: ports.clock.now() - startedMs });
    if (first) await proveFirst(url, ports);
    return gateway;
  } catch (error) {
    await ports.stop(gateway.record);
    throw error;
  }
}

async function refuseTakenPort(ports: UpPorts): Promise<void> {
  const obstacle = await ports.listenObstacle();
  if (obstacle !== undefined) throw new Fault(obstacle);
}

async function untilReady({ record, ended }: RunningGateway, ports: UpPorts): Promise<void> {
  const deadlineMs = ports.clock.now() + READY_WITHIN_MS;
  let how: string | undefined;
  void ended.then((text) => (how = text));
  while (!(await ports.isReady(record.url))) {
    ports.signal.throwIfAborted();
    if (how !== undefined) throw gatewayEnded(how, await ports.lastWords(), record.logFile);
    if (ports.clock.now() > deadlineMs) {
      throw new Fault(`the gateway was not ready within ${READY_WITHIN_MS / 1000} s; its log is ${record.logFile}`);
    }
    await ports.clock.sleep(POLL_MS, ports.signal);
  }
}

/** How the gateway ended, with its last words. */
export function gatewayEnded(how: string, words: string, logFile: string): Fault {
  // Who was killed had no time for last words.
  const said = words === "" || how.startsWith("signal") ? "" : `: ${words}`;
  return new Fault(`the gateway ended (${how})${said}; its log is ${logFile}`);
}

async function proveFirst(url: string, ports: UpPorts): Promise<void> {
  const startedMs = ports.clock.now();
  try {
    const output = await ports.runFirstSandbox(url);
    ports.tell({ event: "first-sandbox", output, elapsedMs: ports.clock.now() - startedMs });
  } catch (error) {
    if (ports.signal.aborted) throw error;
    throw new Fault(`the first sandbox failed: ${sentenceOf(error)}`, { cause: error });
  }
}

/** Until Ctrl-C, or until the gateway ends. */
async function stay({ record, ended }: RunningGateway, ports: UpPorts): Promise<number> {
  const interrupted = new Promise<undefined>((resolve) => {
    if (ports.signal.aborted) resolve(undefined);
    ports.signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const how = await Promise.race([ended, interrupted]);
  if (how === undefined) {
    ports.tell({ event: "stopping" });
    const sandboxesLeft = await ports.countSandboxes(record.url);
    await ports.stop(record);
    ports.tell({ event: "stopped", sandboxesLeft });
    return EXIT.done;
  }
  // `atoll down` elsewhere ends it in good order.
  if (how === "exit code 0") {
    ports.tell({ event: "stopped", sandboxesLeft: 0 });
    return EXIT.done;
  }
  throw gatewayEnded(how, await ports.lastWords(), record.logFile);
}
