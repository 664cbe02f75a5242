import { existsSync, readFileSync } from "node:fs";
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
const PID_POLL_MS = 2;
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

  /** A boot that holds what is needed, and has the policy if one is named. */
  async function make(need: Need, call: Call): Promise<Boot> {
    const id = bootId(deps.ids);
    return orRemoved(id, call, () => cgroup.whileJoining(() => makeNamed(id, need, call)));
  }

  async function makeNamed(id: string, { shape, held, network }: Need, call: Call): Promise<Boot> {
    for (const { digest } of held) deps.holdImage(digest, id);
    const [link] = await Promise.all([deps.links.take(), files.make(id)]);
    const asked: BootNote = { version: BOOT_VERSION, id, shape, link, held, waiting: false, containers: [] };
    await files.writeNote(asked);
    const bundle = await files.writeBundle(id, rootIdOf(id), rootSpec(asked));
    const where = runscCall(id, call.signal);
    const root = runsc.run(rootIdOf(id), bundle, files.pidFileOf(id, rootIdOf(id)), where);
    // While the root container starts the others are made; none may start before it, or would be process 1.
    const others = async (): Promise<BootNote> => {
      const note = await noteKernel(asked, root);
      await inOrder(held, (container, index) => deps.held.create(note, index, container, where));
      return note;
    };
    const [note] = await allDone([others(), root, applyNetwork(deps, asked, network)]);
    await inOrder(held, (_, index) => deps.held.start(id, index, where));
    await files.writeNote({ ...note, ...(network === undefined ? {} : { network }) });
    return bootOf(note);
  }

  /** Adds waiting containers to a boot that has none. */
  async function hold(boot: Boot, held: readonly HeldContainer[], call: Call): Promise<Boot> {
    return orRemoved(boot.id, call, async () => {
      const note = { ...(await noteOf(boot.id)), held, waiting: false };
      for (const { digest } of held) deps.holdImage(digest, boot.id);
      await files.writeNote(note);
      const where = runscCall(boot.id, call.signal);
      await cgroup.whileJoining(() =>
        inOrder(held, async (container, index) => {
          await deps.held.create(note, index, container, where);
          await deps.held.start(boot.id, index, where);
        }),
      );
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

  /** Waits until the kernel's process is there, notes it, and gives it the memory that is its own. */
  async function noteKernel(note: BootNote, root: Promise<void>): Promise<BootNote> {
    const pid = await pidOf(files.pidFileOf(note.id, rootIdOf(note.id)), root);
    // The guest's own view is fixed by now: the group may grow by what agent and kernel need.
    const { memoryBytes } = note.shape;
    if (memoryBytes !== undefined) await cgroup.setMemoryLimit(note.id, memoryBytes + config.overheadMemoryBytes);
    await files.writeNote({ ...note, pid });
    return { ...note, pid };
  }

  /** The number in a pid file that a call is about to write; rejects when the call does. */
  async function pidOf(file: string, call: Promise<void>): Promise<number> {
    let over = false;
    const end = call.then(() => (over = true));
    for (;;) {
      const pid = Number(existsSync(file) ? readFileSync(file, "utf8") : 0);
      if (pid > 0) return pid;
      if (over) throw new Error(`${file} was not written`);
      await Promise.race([end, deps.clock.sleep(PID_POLL_MS)]);
    }
  }

  /** Notes that all of the boot is made and nobody has it: the next process may take it up. */
  async function markWaiting({ id }: Boot): Promise<void> {
    await files.writeNote({ ...(await noteOf(id)), waiting: true });
  }

  async function noteOf(id: string): Promise<BootNote> {
    const note = await files.readNote(id);
    if (note === undefined) throw new Error(`The note of boot ${id} is gone`);
    return note;
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
    const socket = files.socketOf(id);
    // To ask costs a hundred times what a look costs, and until the socket is there nobody answers.
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 1.5, LAST_POLL_MS)) {
      while (!existsSync(socket)) await deps.clock.sleep(FIRST_POLL_MS, signal);
      if (await probe(fetchAgent, signal)) return;
      await deps.clock.sleep(pauseMs, signal);
    }
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

  return { make, hold, markWaiting, remove, agentAnswers };
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
async function allDone<T extends readonly unknown[]>(works: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  await Promise.allSettled(works);
  return Promise.all(works) as Promise<unknown> as Promise<T>;
}
