import { mkdir, readFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { basename, join } from "node:path";
import type { Clock } from "#core/clock.ts";
import type { Ids } from "#core/ids.ts";
import type { Log } from "#core/log.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { AgentFetch, SandboxBackend } from "#runtime/backend/port.ts";
import { createBackend } from "../backend.ts";
import type { LocalConfig } from "../config.ts";
import { createAgentFetch } from "./agent-fetch.ts";
import { createTokenSource, loadAgentKeys, type AgentKeys } from "./agent-keys.ts";
import { createBootControl } from "./boot-control.ts";
import { createBootFiles, type BootFiles } from "./boot-files.ts";
import { createBootMaker } from "./boot-maker.ts";
import { BootPool } from "./boot-pool.ts";
import { createCgroup } from "./cgroup.ts";
import { createImageStore } from "./image-store.ts";
import { LocalMachine } from "./local-machine.ts";
import { createNet } from "./net.ts";
import { createRecordStore } from "./record-store.ts";
import { createRunsc } from "./runsc.ts";

export interface LocalDeps {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

/** Memory that the sandboxes together leave to the host. */
const HOST_RESERVE_BYTES = 1024 ** 3;

/** The local backend on this machine, as root; takes up what an earlier process left. */
export async function createLocalBackend(config: LocalConfig, deps: LocalDeps): Promise<SandboxBackend> {
  const { clock, ids, log } = deps;
  const runscRoot = join(config.runDir, "runsc");
  await mkdir(runscRoot, { recursive: true, mode: 0o700 });
  const keys = await loadAgentKeys(join(config.homeDir, "keys/agent.json"));
  const files = createBootFiles(join(config.homeDir, "boots"), join(config.runDir, "agents"));
  const cgroup = createCgroup(basename(config.runDir));
  await cgroup.init(Math.max(totalmem() - HOST_RESERVE_BYTES, totalmem() / 2));
  const net = await createNet(config.net, { log });
  const images = await createImageStore({ ...config.images, dir: join(config.homeDir, "images") }, { log, clock });
  const runsc = createRunsc({ path: config.runscPath, rootDir: runscRoot, platform: config.platform });
  const control = createBootControl(runscRoot, files, cgroup);
  const agentFetch = agentFetches(files, keys, clock);
  const agentImage = { erofsPath: join(config.homeDir, "agent/rootfs.erofs"), emptyRootDir: join(config.homeDir, "agent/root") };
  await mkdir(agentImage.emptyRootDir, { recursive: true });
  const maker = createBootMaker({
    config, clock, ids, files, cgroup, net, runsc, agentImage, agentPublicKey: keys.publicKey, agentFetch,
  });
  const machine = new LocalMachine({
    files,
    maker,
    control,
    net,
    agentFetch,
    pool: new BootPool({ maker, clock, log, size: config.poolSize }),
    releaseImages: async (bootId) => images.release(bootId),
    containers: {
      config, files, net, runsc, maker, control,
      clusterResolvers: await hostResolvers(),
      acquireImage: async (reference, bootId, call) =>
        images.acquire(config.imageAliases[reference] ?? reference, { signal: call.signal, log: call.log, holder: bootId }),
    },
  });
  const records = await createRecordStore(join(config.homeDir, "sandboxes"), log);
  const { maxSandboxes, startConcurrency, retentionMs } = config;
  return createBackend({ machine, records, clock, log, maxSandboxes, startConcurrency, retentionMs });
}

/** One connection pool and token source a boot, kept as long as it is asked for. */
function agentFetches(files: BootFiles, keys: AgentKeys, clock: Clock): (bootId: string) => AgentFetch {
  const made = new Map<string, AgentFetch>();
  return (bootId) => {
    let fetchAgent = made.get(bootId);
    if (fetchAgent === undefined) {
      fetchAgent = createAgentFetch({ socketPath: files.socketOf(bootId), token: createTokenSource(keys.privateKey, bootId, clock) });
      made.set(bootId, fetchAgent);
    }
    return fetchAgent;
  };
}

/** Resolvers that this host is configured with; loopback ones cannot be reached from a sandbox. */
async function hostResolvers(): Promise<string[]> {
  const text = await readFile("/etc/resolv.conf", "utf8").catch(() => "");
  return text
    .split("\n")
    .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .filter((address) => !address.startsWith("127.") && address !== "::1");
}

/** Only root can make namespaces, links and control groups. */
export function requireRoot(uid: number | undefined): void {
  if (uid === 0) return;
  throw new ProblemError("unavailable", "The local backend needs root: it makes network links and control groups.");
}
