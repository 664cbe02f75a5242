import { appendFileSync, copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { createLog, type Log } from "#core/log.ts";
import type { LocalConfig } from "#runtime/backend/local/config.ts";
import { DEFAULT_NET } from "#runtime/backend/local/network.ts";
import {
  digestFile,
  erofsPath,
  installImage,
  installReference,
  readReference,
} from "#runtime/backend/local/node/image-files.ts";
import { createLocalBackend } from "#runtime/backend/local/node/create-local-backend.ts";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import { makeHome, networkOf, runDirOf } from "../harness/gateway-process.ts";

export const BASE_IMAGE = "atoll/debian";

export interface LocalUnderTest {
  readonly backend: SandboxBackend;
  readonly config: LocalConfig;
  dispose(): Promise<void>;
}

/** The local backend in this process, on a home of its own. */
export async function makeLocal(change: Partial<LocalConfig> = {}): Promise<LocalUnderTest> {
  const config = localConfig(change);
  const deps = { clock: systemClock, ids: cryptoIds, log: stderrLog() };
  const backend = await createLocalBackend(config, deps);
  return {
    backend,
    config,
    dispose: async () => {
      for (const dir of [config.homeDir, config.runDir]) rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Settings on a home of its own with the installed programs and images. */
export function localConfig(change: Partial<LocalConfig> = {}): LocalConfig {
  const homeDir = makeHome();
  const network = networkOf(homeDir);
  return {
    homeDir,
    runDir: runDirOf(homeDir),
    runscPath: process.env["ATOLL_RUNSC"] ?? `${homeDir}/bin/runsc`,
    platform: "systrap",
    poolSize: 0,
    maxSandboxes: 50,
    startConcurrency: 4,
    defaultStorageBytes: 4 * 2 ** 30,
    diskReserveBytes: 2 ** 30,
    journalBudgetBytes: 2 ** 30,
    overheadMemoryBytes: 128 * 2 ** 20,
    pidsLimit: 512,
    retentionMs: 600_000,
    imageAliases: {},
    net: {
      ...DEFAULT_NET,
      name: network.ATOLL_NETWORK_NAME,
      pool4: network.ATOLL_NETWORK_POOL,
      pool6: network.ATOLL_NETWORK_POOL_IPV6,
    },
    snapshots: {
      store: `file://${homeDir}/snapshots`,
      namespace: "test",
      cacheBytes: 2 ** 30,
      mostTarBytes: 4 * 2 ** 30,
      env: {},
    },
    images: { maxBytes: 20 * 2 ** 30, env: { PATH: process.env["PATH"] ?? "" } },
    ...change,
  };
}

/** Another image that holds the same: the base image with a block of nothing at its end. Answers its reference. */
export async function makeOtherImage({ homeDir }: Pick<LocalConfig, "homeDir">): Promise<string> {
  const dir = join(homeDir, "images");
  const base = await readReference(dir, `docker.io/${BASE_IMAGE}:latest`);
  if (base === undefined) throw new Error("The base image is not on this machine");
  const file = join(dir, "other");
  copyFileSync(erofsPath(dir, base.digest), file);
  appendFileSync(file, new Uint8Array(4096));
  const digest = await digestFile(file);
  await installImage(dir, file, { digest, config: base.config });
  await installReference(dir, `docker.io/${BASE_IMAGE}:other`, { digest });
  return `${BASE_IMAGE}:other`;
}

/** Warnings and errors, where a failing test shows them. */
export function stderrLog(): Log {
  return createLog("warn", (line) => console.error(line), Date.now);
}
