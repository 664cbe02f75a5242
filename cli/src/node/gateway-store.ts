import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../fault.ts";
import { parseGatewayRecord, parseStartTicks, type GatewayRecord } from "../gateway/gateway-record.ts";

/** The record of the running gateway. */
export interface GatewayStore {
  readonly logFile: string;
  /** The gateway that runs now; undefined when none does, whatever the file says. */
  running(): Promise<GatewayRecord | undefined>;
  /** Undefined when the process has ended already. */
  save(record: Omit<GatewayRecord, "startTicks" | "bootId">): Promise<GatewayRecord | undefined>;
  forget(): Promise<void>;
}

export function createGatewayStore(home: string): GatewayStore {
  const folder = join(home, "run");
  const file = join(folder, "gateway.json");
  return {
    logFile: join(home, "log", "gateway.log"),
    async running() {
      const record = parseGatewayRecord(await readRecord(file));
      return record !== undefined && (await isAlive(record)) ? record : undefined;
    },
    async save(record) {
      const startTicks = await readStartTicks(record.pid);
      if (startTicks === undefined) return undefined;
      const full = { ...record, startTicks, bootId: await readBootId() };
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFile(`${file}.new`, `${JSON.stringify(full, null, 2)}\n`);
      await rename(`${file}.new`, file);
      return full;
    },
    forget: () => rm(file, { force: true }),
  };
}

async function readRecord(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const denied = error instanceof Error && "code" in error && error.code === "EACCES";
    if (denied) throw new Fault(`${file} is for root only; run it with sudo`, { cause: error });
    return "";
  }
}

async function isAlive(record: GatewayRecord): Promise<boolean> {
  if ((await readBootId()) !== record.bootId) return false;
  return (await readStartTicks(record.pid)) === record.startTicks;
}

async function readStartTicks(pid: number): Promise<number | undefined> {
  return parseStartTicks(await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""));
}

async function readBootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}
