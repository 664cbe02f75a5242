import { execFile } from "node:child_process";
import { mkdir, readFile, rm } from "node:fs/promises";
import { totalmem } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import type { Clock } from "#core/clock.ts";
import type { Ids } from "#core/ids.ts";
import type { Log } from "#core/log.ts";
import { findLosses } from "#core/node/find-losses.ts";
import { createAgentFetch, type AgentConnection } from "#runtime/agent/node/agent-fetch.ts";
import { createTokenSource } from "#runtime/agent/token-source.ts";
import type { AgentFetch } from "#runtime/backend/port.ts";
import { AGENT_FILES } from "#sidecar/manifest.ts";
import type { LocalConfig } from "../config.ts";
import { StartError } from "../machine.ts";
import { loadAgentKeys, type AgentKeys } from "./agent-keys.ts";
import { createBootControl, rootIdOf } from "./boot-control.ts";
import { createBootFiles, type BootFiles } from "./boot-files.ts";
import { createBootMaker } from "./boot-maker.ts";
import { BootPool } from "./boot-pool.ts";
import { createCgroup } from "./cgroup.ts";
import { createCheckpoints } from "./checkpoints.ts";
import { createRoots } from "./roots.ts";
import { createStaging } from "./staging.ts";
import { createHeldContainers } from "./held-containers.ts";
import { createImageStore } from "./image-store.ts";
import { watchDisk } from "./disk-watch.ts";
import { diskUsers, evictFor } from "./disk-users.ts";
import { LinkStock } from "./link-stock.ts";
import { LocalMachine } from "./local-machine.ts";
import { createNet } from "./net.ts";
import { createRunsc } from "./runsc.ts";

export interface LocalDeps {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

/** Memory that the sandboxes together leave to the host. */
const HOST_RESERVE_BYTES = 1024 ** 3;

/** All that the local backend does to this machine, as root. */
export async function createLocalMachine(config: LocalConfig, deps: LocalDeps): Promise<LocalMachine> {
  const { clock, ids, log } = deps;
  const runscRoot = join(config.runDir, "runsc");
  await mkdir(runscRoot, { recursive: true, mode: 0o700 });
  const keys = await loadAgentKeys(join(config.homeDir, "keys/agent.json"));
  const bootsDir = join(config.homeDir, "boots");
  await mkdir(bootsDir, { recursive: true, mode: 0o700 });
  const files = createBootFiles(bootsDir, join(config.runDir, "agents"));
  const cgroup = createCgroup(basename(config.runDir));
  await cgroup.init(Math.max(totalmem() - HOST_RESERVE_BYTES, totalmem() / 2));
  const net = await createNet(config.net, { log });
  const links = new LinkStock(net, log, config.startConcurrency);
  const images = await createImageStore({ ...config.images, dir: join(config.homeDir, "images") }, { log, clock });
  const runsc = createRunsc({ path: config.runscPath, rootDir: runscRoot, platform: config.platform });
  await runsc.settle();
  const control = createBootControl(runscRoot, files, cgroup);
  const agents = createAgents(files, keys, clock);
  const agentImage = {
    erofsPath: join(config.homeDir, "agent/rootfs.erofs"),
    emptyRootDir: join(config.homeDir, "agent/root"),
  };
  await mkdir(agentImage.emptyRootDir, { recursive: true });
  const held = createHeldContainers({ files, runsc, clock, holdFile: join(config.homeDir, "agent/atoll-hold") });
  const maker = createBootMaker({
    config,
    held,
    holdImage: (digest, bootId) => void images.hold(digest, bootId),
    explain: async (bootId, cause) => {
      const { reason } = await control.postMortem(bootId);
      if (reason !== "OutOfMemory") return cause;
      return new StartError("OutOfMemory", "The sandbox ran out of memory while it started.", { cause });
    },
    onRemoved: (bootId) => {
      images.releaseAll(bootId);
      agents.forget(bootId);
      control.forget(bootId);
    },
    clock,
    ids,
    files,
    cgroup,
    net,
    links,
    runsc,
    agentImage,
    agentPublicKey: keys.publicKey,
    agentFetch: agents.fetchOf,
  });
  return new LocalMachine({
    files,
    maker,
    control,
    net,
    links,
    images,
    agentFetch: agents.fetchOf,
    ids,
    defaultStorageBytes: config.defaultStorageBytes,
    removeShared: async () => {
      await cgroup.removeParent();
      await removeRunDir(config.runDir, runscRoot);
    },
    pool: new BootPool({
      maker,
      clock,
      log,
      size: config.poolSize,
      death: (boot, signal) => control.ended(boot.id, signal),
    }),
    containers: { files, net, held, control },
    diskWatch: watchDisk({
      dir: bootsDir,
      reserveBytes: config.diskReserveBytes,
      clock,
      log,
      users: () => diskUsers(files),
      evict: (user, usedBytes) => evictFor(control, files, { log, user, usedBytes }),
    }),
    clusterResolvers: await hostResolvers(),
    acquireRoot: createRoots({ images, aliases: config.imageAliases }),
    losses: async (bootId, containerName, call) => {
      const runsc = { path: config.runscPath, rootDir: runscRoot };
      const agent = { containerId: rootIdOf(bootId), program: AGENT_FILES.losses };
      return (await findLosses({ runsc, agent, containerName, ...call })).warnings;
    },
    checkpoints: createCheckpoints({
      runsc,
      files,
      control,
      staging: await createStaging({ dir: join(config.homeDir, "staging"), reserveBytes: config.diskReserveBytes }),
      clock,
      log,
    }),
  });
}

/** Most mounts of gVisor's empty namespace on top of each other: two runsc at the same moment each make one. */
const MAX_STACKED_MOUNTS = 256;

/** gVisor keeps an empty network namespace mounted in its state folder. */
async function removeRunDir(runDir: string, runscRoot: string): Promise<void> {
  const unmount = (): Promise<boolean> =>
    promisify(execFile)("umount", ["--lazy", join(runscRoot, "null-netns")]).then(
      () => true,
      () => false,
    );
  for (let left = MAX_STACKED_MOUNTS; left > 0 && (await unmount()); left--);
  await rm(runDir, { recursive: true, force: true });
}

interface Agents {
  fetchOf(bootId: string): AgentFetch;
  forget(bootId: string): void;
}

/** One connection pool and token source a boot, kept until the boot is removed. */
function createAgents(files: BootFiles, keys: AgentKeys, clock: Clock): Agents {
  const made = new Map<string, AgentConnection>();
  return {
    fetchOf: (bootId) => {
      let connection = made.get(bootId);
      if (connection === undefined) {
        const token = createTokenSource(keys.privateKey, bootId, clock);
        connection = createAgentFetch({ address: { socketPath: files.socketOf(bootId) }, token });
        made.set(bootId, connection);
      }
      return connection.fetch;
    },
    forget: (bootId) => {
      made.get(bootId)?.close();
      made.delete(bootId);
    },
  };
}

/** Where a host names its resolvers; the second when a local stub stands in for them in the first. */
const RESOLVER_FILES = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/** Resolvers that this host is configured with; loopback ones cannot be reached from a sandbox. */
async function hostResolvers(): Promise<string[]> {
  for (const file of RESOLVER_FILES) {
    const text = await readFile(file, "utf8").catch(() => "");
    const found = text
      .split("\n")
      .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
      .filter((address) => !address.startsWith("127.") && address !== "::1");
    if (found.length > 0) return found;
  }
  return [];
}
