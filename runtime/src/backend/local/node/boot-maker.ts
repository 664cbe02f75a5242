import { readFile } from "node:fs/promises";
import { AGENT_PATHS, AgentHealth } from "#api/agent.ts";
import type { Clock } from "#core/clock.ts";
import type { Ids } from "#core/ids.ts";
import { AGENT_COMMAND } from "#sidecar/manifest.ts";
import type { AgentFetch, Call } from "#runtime/backend/port.ts";
import type { LocalConfig } from "../config.ts";
import type { Boot } from "../machine.ts";
import { agentSpec, resourcesOf, type RootImage } from "../oci.ts";
import type { Shape } from "../shape.ts";
import { containerIdOf, rootIdOf } from "./boot-control.ts";
import type { BootFiles, BootNote } from "./boot-files.ts";
import type { Cgroup } from "./cgroup.ts";
import type { LinkStock } from "./link-stock.ts";
import type { Net } from "./net.ts";
import type { Runsc, RunscCall } from "./runsc.ts";
import { agentEnv } from "./agent-image.ts";

/** Host tasks (threads of the sandbox's kernel) per guest task, with room for the kernel's own. */
const HOST_PIDS = 32_768;
const FIRST_POLL_MS = 2;
const LAST_POLL_MS = 10;
/** A request that reaches an agent as it dies may never be answered. */
const PROBE_TIMEOUT_MS = 1000;
/** Disk of the agent's own root on top of the journals. */
const AGENT_STORAGE_BYTES = 64 * 1024 * 1024;

export interface BootMakerDeps {
  readonly config: LocalConfig;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly files: BootFiles;
  readonly cgroup: Cgroup;
  readonly net: Net;
  readonly links: LinkStock;
  readonly runsc: Runsc;
  readonly agentImage: RootImage;
  readonly agentPublicKey: string;
  readonly agentFetch: (bootId: string) => AgentFetch;
}

export type BootMaker = ReturnType<typeof createBootMaker>;

/** Makes, probes and removes booted sandboxes that hold only the agent. */
export function createBootMaker(deps: BootMakerDeps) {
  const { config, files, cgroup, net, runsc } = deps;

  async function make(shape: Shape, call: Call): Promise<Boot> {
    const id = bootId(deps.ids);
    try {
      return await makeNamed(id, shape, call);
    } catch (error) {
      await remove(id).catch((cause: unknown) =>
        call.log.error("Half-made boot not removed", { boot: id, error: cause }),
      );
      throw error;
    }
  }

  async function makeNamed(id: string, shape: Shape, call: Call): Promise<Boot> {
    const [link] = await Promise.all([deps.links.take(), files.make(id)]);
    const note: BootNote = { version: 1, id, shape, link, containers: [], images: [] };
    await files.writeNote(note);
    const paths = files.pathsOf(id, link.netnsPath);
    const where = runscCall(id, call.signal);
    const spec = agentSpec(
      paths,
      {
        args: AGENT_COMMAND,
        env: agentEnv({
          agentId: id,
          publicKey: deps.agentPublicKey,
          journalBudgetBytes: config.journalBudgetBytes,
          pidsLimit: config.pidsLimit,
        }),
        image: deps.agentImage,
        storageBytes: config.journalBudgetBytes + AGENT_STORAGE_BYTES,
      },
      { cgroupsPath: cgroup.pathOf(id), resources: resourcesOf(shape, HOST_PIDS) },
    );
    const root = rootIdOf(id);
    const bundle = await files.writeBundle(id, root, spec);
    await runsc.create(root, bundle, files.pidFileOf(id, root), where);
    // The guest's own view is fixed by now: the group may grow by what agent and kernel need.
    await Promise.all([
      shape.memoryBytes === undefined
        ? undefined
        : cgroup.setMemoryLimit(id, shape.memoryBytes + config.overheadMemoryBytes),
      readFile(files.pidFileOf(id, root), "utf8").then((pid) => files.writeNote({ ...note, pid: Number(pid) })),
    ]);
    await runsc.start(root, where);
    return { id, shape, containers: [] };
  }

  function runscCall(id: string, signal?: AbortSignal): RunscCall {
    const paths = files.pathsOf(id, "");
    return { bootDir: files.dirOf(id), upperDir: paths.upperDir, ...(signal === undefined ? {} : { signal }) };
  }

  /** Asks the agent until it answers and `accept` holds; the signal bounds the wait. */
  async function agentAnswers(
    id: string,
    signal: AbortSignal,
    accept: (health: AgentHealth) => boolean,
  ): Promise<void> {
    const fetchAgent = deps.agentFetch(id);
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 1.5, LAST_POLL_MS)) {
      const health = await probe(fetchAgent, signal);
      if (health !== undefined && accept(health)) return;
      await deps.clock.sleep(pauseMs, signal);
    }
  }

  async function remove(id: string): Promise<void> {
    const note = await files.readNote(id);
    const containers = (note?.containers ?? []).map((_, index) => containerIdOf(id, index));
    await runsc.remove([...containers, rootIdOf(id)], runscCall(id)).catch(ignoreMissingFolder);
    if (note !== undefined) await net.detach(note.link);
    await cgroup.remove(id);
    await files.remove(id);
  }

  return { make, remove, agentAnswers, runscCall };
}

async function probe(fetchAgent: AgentFetch, signal: AbortSignal): Promise<AgentHealth | undefined> {
  signal.throwIfAborted();
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]);
    const response = await fetchAgent(new Request(`http://agent${AGENT_PATHS.health}`, { signal: limit }));
    if (!response.ok) return undefined;
    return AgentHealth.parse(await response.json());
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function bootId(ids: Ids): string {
  return ids.sandboxId().slice(0, 12);
}

/** The boot's folder is gone already, and with it the place for runsc's words. */
function ignoreMissingFolder(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}
