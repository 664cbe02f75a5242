import type { Clock } from "#core/clock.ts";
import { EXIT, Fault } from "../fault.ts";
import type { GatewayRecord } from "../gateway/gateway-record.ts";

export type DownEvent =
  | { readonly event: "not-up" }
  | { readonly event: "waiting" }
  | { readonly event: "removing"; readonly sandboxes: number }
  | { readonly event: "down"; readonly sandboxesRemoved: number; readonly sandboxesKept: number };

/** What `down` needs from the world. */
export interface DownPorts {
  readonly isRoot: boolean;
  readonly clock: Clock;
  readonly tell: (event: DownEvent) => void;
  readonly lock: (onWait: () => void) => Promise<{ release(): Promise<void> }>;
  readonly running: () => Promise<GatewayRecord | undefined>;
  /** Whether an earlier gateway left anything that may still run. */
  readonly leftOvers: () => Promise<boolean>;
  /** Starts a gateway only to tidy up, and waits until it is ready. */
  readonly startQuietly: () => Promise<GatewayRecord>;
  readonly stop: (record: GatewayRecord) => Promise<void>;
  readonly listSandboxes: (url: string) => Promise<readonly string[]>;
  readonly removeSandbox: (url: string, id: string) => Promise<void>;
}

const REMOVE_WITHIN_MS = 120_000;
const POLL_MS = 100;

/** Removes the sandboxes, unless they are to be kept, and stops the gateway; answers the exit code. */
export async function down({ keepSandboxes }: { keepSandboxes: boolean }, ports: DownPorts): Promise<number> {
  if (!ports.isRoot) throw new Fault("root is needed to stop Atoll; run it with sudo");
  const lock = await ports.lock(() => ports.tell({ event: "waiting" }));
  try {
    const record = (await ports.running()) ?? (await gatewayForTheRest(keepSandboxes, ports));
    if (record === undefined) {
      ports.tell({ event: "not-up" });
      return EXIT.done;
    }
    const ids = await ports.listSandboxes(record.url);
    if (keepSandboxes) await ports.stop(record);
    const removed = keepSandboxes ? 0 : await removeAndStop(record, ids, ports);
    ports.tell({ event: "down", sandboxesRemoved: removed, sandboxesKept: keepSandboxes ? ids.length : 0 });
    return EXIT.done;
  } finally {
    await lock.release();
  }
}

async function gatewayForTheRest(keepSandboxes: boolean, ports: DownPorts): Promise<GatewayRecord | undefined> {
  return keepSandboxes || !(await ports.leftOvers()) ? undefined : ports.startQuietly();
}

/** A gateway that stops still answers a create that it has begun: what came so is removed by another, which nobody knows. */
async function removeAndStop(first: GatewayRecord, ids: readonly string[], ports: DownPorts): Promise<number> {
  const removed = new Set(await removeAll(first, ids, ports));
  await ports.stop(first);
  if (!(await ports.leftOvers())) return removed.size;
  const second = await ports.startQuietly();
  for (const id of await removeAll(second, await ports.listSandboxes(second.url), ports)) removed.add(id);
  await ports.stop(second);
  return removed.size;
}

/** Until the list is empty: a removal is answered before it is finished, and a client may create meanwhile. */
async function removeAll({ url }: GatewayRecord, first: readonly string[], ports: DownPorts): Promise<Set<string>> {
  const seen = new Set<string>();
  if (first.length > 0) ports.tell({ event: "removing", sandboxes: first.length });
  const deadlineMs = ports.clock.now() + REMOVE_WITHIN_MS;
  for (let left = first; left.length > 0; left = await ports.listSandboxes(url)) {
    if (ports.clock.now() > deadlineMs) {
      throw new Fault(
        `${left.length} sandboxes were not removed within ${REMOVE_WITHIN_MS / 1000} s; the gateway is still up`,
      );
    }
    for (const id of left) seen.add(id);
    await Promise.all(left.map((id) => ports.removeSandbox(url, id)));
    await ports.clock.sleep(POLL_MS);
  }
  return seen;
}
