import { join } from "node:path";
import type { FileLock } from "#core/node/file-lock.ts";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import { createBackend } from "../backend.ts";
import type { LocalConfig } from "../config.ts";
import { parseRecord } from "../record.ts";
import { parseSnapshotRecord } from "../snapshot/snapshot-record.ts";
import { createLocalMachine, type LocalDeps } from "./create-local-machine.ts";
import { claimHome } from "./home-claim.ts";
import { openMounter } from "./open-mounter.ts";
import { createRecordStore } from "./record-store.ts";

/** The local backend on this machine, as root; takes up what an earlier process left. */
export async function createLocalBackend(config: LocalConfig, deps: LocalDeps): Promise<SandboxBackend> {
  const claim = await claimHome(config.homeDir);
  try {
    return await openBackend(config, deps, claim);
  } catch (error) {
    await claim.release();
    throw error;
  }
}

async function openBackend(config: LocalConfig, deps: LocalDeps, claim: FileLock): Promise<SandboxBackend> {
  const { clock, ids, log } = deps;
  const { homeDir, maxSandboxes, startConcurrency, retentionMs } = config;
  const { namespace, mostTarBytes } = config.snapshots;
  const random = Math.random;
  const opening = openMounter(config, { log, random });
  opening.catch(() => undefined);
  const machine = await createLocalMachine(config, deps).catch(async (error: unknown) => {
    await opening.then((opened) => opened.close()).catch(() => undefined);
    throw error;
  });
  const mounter = await opening.catch(async (error: unknown) => {
    await machine.close({ forGood: false });
    throw error;
  });
  const [records, snapshotRecords] = await Promise.all([
    createRecordStore(join(homeDir, "sandboxes"), log, parseRecord),
    createRecordStore(join(homeDir, "snapshot-records"), log, parseSnapshotRecord),
  ]);
  const own = { clock, ids, log, random, maxSandboxes, startConcurrency, retentionMs, namespace, mostTarBytes };
  const closed = (): Promise<void> => claim.release();
  return createBackend({ ...own, machine, mounter, records, snapshotRecords, closed });
}
