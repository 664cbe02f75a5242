import { join } from "node:path";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import { createBackend } from "../backend.ts";
import type { LocalConfig } from "../config.ts";
import { createLocalMachine, type LocalDeps } from "./create-local-machine.ts";
import { createRecordStore } from "./record-store.ts";

/** The local backend on this machine, as root; takes up what an earlier process left. */
export async function createLocalBackend(config: LocalConfig, deps: LocalDeps): Promise<SandboxBackend> {
  const { clock, log } = deps;
  const machine = await createLocalMachine(config, deps);
  const records = await createRecordStore(join(config.homeDir, "sandboxes"), log);
  const { maxSandboxes, startConcurrency, retentionMs } = config;
  return createBackend({ machine, records, clock, log, maxSandboxes, startConcurrency, retentionMs });
}
