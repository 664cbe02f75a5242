import { EXIT } from "../fault.ts";
import type { GatewayRecord } from "../gateway/gateway-record.ts";

/** What `status` answers. */
export interface StatusReport {
  readonly up: boolean;
  readonly home: string;
  readonly pid?: number;
  readonly url?: string;
  readonly version?: string;
  readonly startedAt?: string;
  /** Whether the gateway says that it can take work. */
  readonly ready?: boolean;
  /** Number of sandboxes by state; absent when the gateway did not answer. */
  readonly sandboxes?: Readonly<Record<string, number>>;
  readonly diskBytes?: number;
}

/** What `status` needs from the world. */
export interface StatusPorts {
  readonly home: string;
  readonly running: () => Promise<GatewayRecord | undefined>;
  readonly isReady: (url: string) => Promise<boolean>;
  readonly sandboxStates: (url: string) => Promise<readonly string[] | undefined>;
  readonly diskBytes: () => Promise<number | undefined>;
}

export async function status(ports: StatusPorts): Promise<{ report: StatusReport; exitCode: number }> {
  const [record, diskBytes] = await Promise.all([ports.running(), ports.diskBytes()]);
  const disk = diskBytes === undefined ? {} : { diskBytes };
  if (record === undefined) return { report: { up: false, home: ports.home, ...disk }, exitCode: EXIT.down };
  const { pid, url, version, startedAt } = record;
  const [ready, states] = await Promise.all([ports.isReady(url), ports.sandboxStates(url)]);
  const sandboxes = states === undefined ? {} : { sandboxes: countEach(states) };
  const report = { up: true, home: ports.home, pid, url, version, startedAt, ready, ...sandboxes, ...disk };
  return { report, exitCode: EXIT.done };
}

function countEach(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
