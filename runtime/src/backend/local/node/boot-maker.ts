import { readFile } from "node:fs/promises";
import { AGENT_PATHS, AgentHealth } from "#api/agent.ts";
import type { Clock } from "#core/clock.ts";
import type { Ids } from "#core/ids.ts";
import { AGENT_COMMAND } from "#sidecar/manifest.ts";
import type { AgentFetch, Call } from "#runtime/backend/port.ts";
import type { LocalConfig } from "../config.ts";
import type { Boot } from "../machine.ts";
import type { HeldContainer } from "../held.ts";
import type { Need } from "../need.ts";
import { agentSpec, resourcesOf, type OciSpec, type RootImage } from "../oci.ts";
import { containerIdOf, rootIdOf } from "./boot-control.ts";
import { BOOT_VERSION, bootOf, type BootFiles, type BootNote } from "./boot-files.ts";
import { applyNetwork } from "./containers.ts";
import type { Cgroup } from "./cgroup.ts";
import type { HeldContainers } from "./held-containers.ts";
import type { LinkStock } from "./link-stock.ts";
import type { Net } from "./net.ts";
import { RunscError, type Runsc, type RunscCall } from "./runsc.ts";
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
  readonly held: HeldContainers;
  /** Keeps the image of a waiting container on this machine until the boot is gone. */
  readonly holdImage: (digest: string, bootId: string) => void;
  /** Says why a boot could not be made, in words that the sandbox's user understands. */
  readonly explain: (bootId: string, cause: RunscError) => Promise<Error>;
  /** Called when nothing of the boot is left. */
  readonly onRemoved: (bootId: string) => void;
  readonly agentImage: RootImage;
  readonly agentPublicKey: string;
  readonly agentFetch: (bootId: string) => AgentFetch;
}

export type BootMaker = ReturnType<typeof createBootMaker>;

/** Makes, probes and removes booted sandboxes: the agent, and the containers that wait for their program. */
export function createBootMaker(deps: BootMakerDeps) {
  const { config, files, cgroup, net, runsc } = deps;

  /** `held` may be empty; `hold` adds containers later. */
  async function make(need: Need, call: Call): Promise<Boot> {
    const { held } = need;
    const id = bootId(deps.ids);
    return orRemoved(id, call, async () => {
      const note = await makeRoot(id, need, call);
      const where = runscCall(id, call.signal);
      // The root container starts first, or another would be process 1; all may be made meanwhile.
      await allDone([
        runsc.start(rootIdOf(id), where),
        inOrder(held, (container, index) => deps.held.create(note, index, container, where)),
      ]);
      await inOrder(held, (_, index) => deps.held.start(id, index, where));
      await files.writeNote({ ...note, waiting: true });
      return bootOf(note);
    });
  }

  /** Adds waiting containers to a boot that has none. */
  async function hold(boot: Boot, held: readonly HeldContainer[], call: Call): Promise<Boot> {
    return orRemoved(boot.id, call, async () => {
      const before = await files.readNote(boot.id);
      if (before === undefined) throw new Error(`The note of boot ${boot.id} is gone`);
      const note = { ...before, held, waiting: false };
      for (const { digest } of held) deps.holdImage(digest, boot.id);
      await files.writeNote(note);
      const where = runscCall(boot.id, call.signal);
      await inOrder(held, async (container, index) => {
        await deps.held.create(note, index, container, where);
        await deps.held.start(boot.id, index, where);
      });
      return bootOf(note);
    });
  }

  async function orRemoved(id: string, call: Call, work: () => Promise<Boot>): Promise<Boot> {
    try {
      return await work();
    } catch (error) {
      const cause = error instanceof RunscError ? await deps.explain(id, error) : error;
      await remove(id).catch((fault: unknown) =>
        call.log.error("Half-made boot not removed", { boot: id, error: fault }),
      );
      throw cause;
    }
  }

  /** A created root container, not started. */
  async function makeRoot(id: string, { shape, held, network }: Need, call: Call): Promise<BootNote> {
    for (const { digest } of held) deps.holdImage(digest, id);
    const [link] = await Promise.all([deps.links.take(), files.make(id)]);
    const note: BootNote = { version: BOOT_VERSION, id, shape, link, held, waiting: false, containers: [] };
    await files.writeNote(note);
    const root = rootIdOf(id);
    const bundle = await files.writeBundle(id, root, rootSpec(note));
    await allDone([
      runsc.create(root, bundle, files.pidFileOf(id, root), runscCall(id, call.signal)),
      applyNetwork(deps, note, network),
    ]);
    const pid = Number(await readFile(files.pidFileOf(id, root), "utf8"));
    const living: BootNote = { ...note, pid, ...(network === undefined ? {} : { network }) };
    // The guest's own view is fixed by now: the group may grow by what agent and kernel need.
    const memoryBytes = shape.memoryBytes === undefined ? undefined : shape.memoryBytes + config.overheadMemoryBytes;
    await Promise.all([
      memoryBytes === undefined ? undefined : cgroup.setMemoryLimit(id, memoryBytes),
      files.writeNote(living),
    ]);
    return living;
  }

  function rootSpec({ id, shape, link }: BootNote): OciSpec {
    const env = agentEnv({
      agentId: id,
      publicKey: deps.agentPublicKey,
      journalBudgetBytes: config.journalBudgetBytes,
      pidsLimit: config.pidsLimit,
    });
    const storageBytes = config.journalBudgetBytes + AGENT_STORAGE_BYTES;
    return agentSpec(
      files.pathsOf(id, link.netnsPath),
      { args: AGENT_COMMAND, env, image: deps.agentImage, storageBytes },
      { cgroupsPath: cgroup.pathOf(id), resources: resourcesOf(shape, HOST_PIDS) },
    );
  }

  function runscCall(id: string, signal?: AbortSignal): RunscCall {
    const paths = files.pathsOf(id, "");
    return { bootDir: files.dirOf(id), upperDir: paths.upperDir, ...(signal === undefined ? {} : { signal }) };
  }

  /** Asks the agent until it answers; the signal bounds the wait. */
  async function agentAnswers(id: string, signal: AbortSignal): Promise<void> {
    const fetchAgent = deps.agentFetch(id);
    for (
      let pauseMs = FIRST_POLL_MS;
      !(await probe(fetchAgent, signal));
      pauseMs = Math.min(pauseMs * 1.5, LAST_POLL_MS)
    )
      await deps.clock.sleep(pauseMs, signal);
  }

  async function remove(id: string): Promise<void> {
    const note = await files.readNote(id);
    const containers = (note?.held ?? []).map((_, index) => containerIdOf(id, index));
    await runsc.remove([...containers, rootIdOf(id)], runscCall(id)).catch(ignoreMissingFolder);
    if (note !== undefined) await net.detach(note.link);
    await cgroup.remove(id);
    await files.remove(id);
    deps.onRemoved(id);
  }

  return { make, hold, remove, agentAnswers, runscCall };
}

async function probe(fetchAgent: AgentFetch, signal: AbortSignal): Promise<boolean> {
  signal.throwIfAborted();
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]);
    const response = await fetchAgent(new Request(`http://agent${AGENT_PATHS.health}`, { signal: limit }));
    return response.ok && AgentHealth.safeParse(await response.json()).success;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

function bootId(ids: Ids): string {
  return ids.sandboxId().slice(0, 12);
}

/** The boot's folder is gone already, and with it the place for runsc's words. */
function ignoreMissingFolder(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

async function inOrder<T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<void> {
  for (const [index, item] of items.entries()) await work(item, index);
}

/** Waits for all, also when one fails: what still runs would hinder the removal. */
async function allDone(works: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) if (result.status === "rejected") throw result.reason;
}
