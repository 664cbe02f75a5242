import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { createLog, type Log } from "#core/log.ts";
import { createApp } from "../app.ts";
import { readLocalConfig } from "../backend/local/read-config.ts";
import type { SandboxBackend } from "../backend/port.ts";
import { createMemoryBackend } from "../backend/memory/create-memory-backend.ts";
import type { Gateway } from "../gateway.ts";
import { fixedKeys, type ApiKeys } from "../middleware/auth.ts";
import { openKeysFile } from "../node/keys-file.ts";
import { gatewayConfigOf, listenOf, readEnvironment, type GatewayEnvironment, type Listen } from "../manifest.ts";
import { openMetrics } from "./open-metrics.ts";

/** What a JavaScript runtime says of itself. */
export interface RuntimeFacts {
  /** For example `bun 1.4.5`. */
  readonly runtime: string;
  /** For example `linux/x64`. */
  readonly platform: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True when its HTTP parser refuses heads above 16 KiB with a 431 of its own. */
  readonly boundsHeaders: boolean;
  writeLine(line: string): void;
}

/** A gateway that only needs a server. */
export interface ComposedGateway {
  readonly app: Gateway;
  readonly listen: Listen;
  readonly log: Log;
  close(): Promise<void>;
}

const VERSION = "0.1.0";

/** Wires environment, backend and app; throws a sentence for people when it cannot. */
export async function composeGateway(facts: RuntimeFacts): Promise<ComposedGateway> {
  const env = readEnvironment(facts.env);
  const log = createLog(env.ATOLL_LOG_LEVEL, facts.writeLine, systemClock.now);
  const life = new AbortController();
  const apiKeys = await openKeys(env, log, life.signal);
  const backend = await openBackend(env, facts.env, log);
  const version = { gitVersion: `v${VERSION}`, goVersion: facts.runtime, platform: facts.platform };
  const config = { ...gatewayConfigOf(env), ...(facts.boundsHeaders ? { maxHeaderBytes: Infinity } : {}) };
  const metrics = await openMetrics(env, { backend, version: VERSION, runtime: facts.runtime, log });
  const app = createApp({
    backend,
    clock: systemClock,
    ids: cryptoIds,
    log,
    config,
    version,
    ...(apiKeys === undefined ? {} : { apiKeys }),
    ...(metrics === undefined ? {} : { meter: metrics.meter }),
  });
  const close = async (): Promise<void> => {
    life.abort(new Error("the gateway stops"));
    await Promise.all([metrics?.server.close(), backend.close()]);
  };
  return { app, listen: listenOf(env), log, close };
}

async function openKeys(env: GatewayEnvironment, log: Log, signal: AbortSignal): Promise<ApiKeys | undefined> {
  if (env.ATOLL_API_KEYS_FILE === undefined) return undefined;
  const besides = fixedKeys(env.ATOLL_API_KEY_HASHES);
  return openKeysFile(env.ATOLL_API_KEYS_FILE, { clock: systemClock, log, besides, signal });
}

async function openBackend(env: GatewayEnvironment, source: RuntimeFacts["env"], log: Log): Promise<SandboxBackend> {
  if (env.ATOLL_BACKEND === "memory") {
    return createMemoryBackend({
      maxSandboxes: env.ATOLL_MAX_SANDBOXES,
      retentionMs: env.ATOLL_RETENTION_SECONDS * 1000,
    });
  }
  if (env.ATOLL_BACKEND === "kubernetes") return openKubernetes(env, source, log);
  // Loaded only where it is asked for: it needs Linux and root.
  const { createLocalBackend } = await import("../backend/local/node/create-local-backend.ts");
  return createLocalBackend(readLocalConfig(env, source), { clock: systemClock, ids: cryptoIds, log });
}

async function openKubernetes(env: GatewayEnvironment, source: RuntimeFacts["env"], log: Log): Promise<SandboxBackend> {
  const [{ createKubeFetch }, { findClusterAccess }, { createKubernetesBackend }] = await Promise.all([
    import("#core/kubernetes/node/kube-fetch.ts"),
    import("../backend/kubernetes/node/cluster-access.ts"),
    import("../backend/kubernetes/node/create-kubernetes-backend.ts"),
  ]);
  const access = await findClusterAccess({ kubeconfig: env.ATOLL_KUBECONFIG, env: source });
  return createKubernetesBackend(
    {
      sandboxNamespace: env.ATOLL_SANDBOX_NAMESPACE,
      systemNamespace: env.ATOLL_SYSTEM_NAMESPACE,
      hasSnapshots: env.ATOLL_SNAPSHOTS,
    },
    {
      fetch: createKubeFetch(access, { userAgent: `atoll-gateway/${VERSION}` }),
      clock: systemClock,
      log,
      random: Math.random,
    },
  );
}
