/** What `up` leaves for the other verbs, as ATOLL_HOME/run/gateway.json. */
export interface GatewayRecord {
  readonly pid: number;
  /** Start of the process in clock ticks since boot: with the boot's id it tells a process from a later one with its number. */
  readonly startTicks: number;
  readonly bootId: string;
  /** Base address for clients on this machine, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly version: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly logFile: string;
}

/** Reads a record; undefined when the text is not one, e.g. cut short by a full disk. */
export function parseGatewayRecord(text: string): GatewayRecord | undefined {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof found !== "object" || found === null) return undefined;
  const { pid, startTicks, bootId, url, version, startedAt, logFile } = found as Partial<
    Record<keyof GatewayRecord, unknown>
  >;
  if (typeof pid !== "number" || !Number.isInteger(pid) || pid < 2 || typeof startTicks !== "number") return undefined;
  if (typeof url !== "string" || !URL.canParse(url) || typeof bootId !== "string") return undefined;
  if (typeof version !== "string" || typeof startedAt !== "string" || typeof logFile !== "string") return undefined;
  return { pid, startTicks, bootId, url, version, startedAt, logFile };
}

/** Start of a process in clock ticks since boot, from its line in `/proc/<pid>/stat`. */
export function parseStartTicks(stat: string): number | undefined {
  // The name in parentheses is the process's own choice and may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  if (state === undefined || state === "Z" || state === "X") return undefined;
  const ticks = Number(fields[19]);
  return Number.isInteger(ticks) ? ticks : undefined;
}

/** The address a client on this machine uses for a gateway that listens there. */
export function clientUrl(listen: string, port: number): string {
  const anyAddress: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1" };
  const host = anyAddress[listen] ?? listen;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
