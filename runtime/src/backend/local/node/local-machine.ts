import type { SnapshotWarning } from "#api/snapshot-manifest.ts";
import type { Ids } from "#core/ids.ts";
import type { ContainerSpec } from "#core/sandbox.ts";
import { planNetwork } from "#core/network.ts";
import type { AgentFetch, Call } from "#runtime/backend/port.ts";
import type { Checkpoint, CheckpointCall, LossesCall } from "../checkpoint.ts";
import type { Boot, ContainerEnd, Machine, StartRequest } from "../machine.ts";
import { planContainer, type ContainerPlan } from "../container-plan.ts";
import type { Image } from "../image.ts";
import { checkUpperMemory } from "../restore-memory.ts";
import type { RootRestore } from "../root-restore.ts";
import { shapeOf } from "../shape.ts";
import type { BootControl } from "./boot-control.ts";
import { bootOf, type BootFiles } from "./boot-files.ts";
import type { BootMaker } from "./boot-maker.ts";
import type { BootPool } from "./boot-pool.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { startContainers, type ContainersDeps } from "./containers.ts";
import type { ImageStore } from "./image-store.ts";
import type { LinkStock } from "./link-stock.ts";
import type { Net } from "./net.ts";

export interface LocalMachineDeps {
  readonly files: BootFiles;
  readonly maker: BootMaker;
  readonly pool: BootPool;
  readonly control: BootControl;
  readonly net: Net;
  readonly links: LinkStock;
  readonly containers: ContainersDeps;
  readonly diskWatch: { close(): Promise<void> };
  readonly agentFetch: (bootId: string) => AgentFetch;
  readonly images: Pick<ImageStore, "hold" | "releaseAll" | "close">;
  readonly checkpoints: Checkpoints;
  readonly losses: (bootId: string, container: string, call: LossesCall) => Promise<readonly SnapshotWarning[]>;
  /** The root of a container, its snapshot's layers included, held for `holder` until released; throws StartError. */
  readonly acquireRoot: (
    container: ContainerSpec,
    restore: RootRestore | undefined,
    call: Call & { readonly holder: string },
  ) => Promise<Image>;
  readonly ids: Ids;
  readonly defaultStorageBytes: number;
  readonly clusterResolvers: readonly string[];
  /** Removes the folders and control groups that sandboxes share. */
  readonly removeShared: () => Promise<void>;
}

/** From a start to the making of what comes next. */
const REFILL_DELAY_MS = 300;

/** The machine port over runsc, one kernel a sandbox. */
export class LocalMachine implements Machine {
  private readonly deps: LocalMachineDeps;
  /** Agents asked to answer while their containers start, by boot. */
  private readonly asked = new Map<string, Promise<void>>();

  private refill: ReturnType<typeof setTimeout> | undefined;

  constructor(deps: LocalMachineDeps) {
    this.deps = deps;
  }

  async start({ spec, restores, own, slot }: StartRequest, call: Call): Promise<Boot> {
    // A boot that waits for the program keeps its image itself; until there is one, the start does.
    const holder = `start-${this.deps.ids.sandboxId()}`;
    try {
      const shape = shapeOf(spec);
      const planned = spec.containers.map(async (container): Promise<ContainerPlan> => {
        const root = await this.deps.acquireRoot(container, restores.get(container.name), { ...call, holder });
        checkUpperMemory(container.name, root, shape);
        return planContainer(container, root, this.deps.defaultStorageBytes);
      });
      // Also when one fails: what still came would be held for good.
      await Promise.allSettled(planned);
      const plans = await Promise.all(planned);
      const network = planNetwork(spec.network ?? {}, { clusterResolvers: this.deps.clusterResolvers });
      const need = { shape, held: plans.map(({ held }) => held), network };
      return await slot(async () => {
        const boot = await this.deps.pool.take(need, call);
        await own(boot);
        const answers = this.deps.maker.agentAnswers(boot.id, call.signal);
        answers.catch(() => undefined);
        this.asked.set(boot.id, answers);
        return startContainers(this.deps.containers, boot, { network, plans }, call);
      }, call.signal);
    } finally {
      this.deps.images.releaseAll(holder);
    }
  }

  agentReady(boot: Boot, call: Call): Promise<void> {
    const asked = this.asked.get(boot.id);
    this.asked.delete(boot.id);
    return asked ?? this.deps.maker.agentAnswers(boot.id, call.signal);
  }

  waitContainer(boot: Boot, container: string, signal: AbortSignal): Promise<ContainerEnd> {
    return this.deps.control.wait(boot, container, signal);
  }

  agentFetch(boot: Boot): AgentFetch {
    return this.deps.agentFetch(boot.id);
  }

  checkpoint(boot: Boot, container: string, call: CheckpointCall): Promise<Checkpoint> {
    return this.deps.checkpoints.take(boot, container, call);
  }

  losses(boot: Boot, container: string, call: LossesCall): Promise<readonly SnapshotWarning[]> {
    return this.deps.losses(boot.id, container, call);
  }

  async destroy(bootId: string): Promise<void> {
    this.asked.delete(bootId);
    await this.deps.maker.remove(bootId);
  }

  refillPool(): void {
    // Making a kernel takes all of a small machine: the sandbox just started runs its first command before that.
    this.refill ??= setTimeout(() => {
      this.refill = undefined;
      this.deps.pool.refill();
      this.deps.links.refill();
    }, REFILL_DELAY_MS);
  }

  async livingBoots(): Promise<ReadonlyMap<string, Boot>> {
    const living = new Map<string, Boot>();
    for (const id of await this.deps.files.list()) {
      const note = await this.deps.files.readNote(id);
      if (note !== undefined && (await this.deps.control.alive(note))) {
        living.set(id, bootOf(note));
        for (const { digest } of note.held) this.deps.images.hold(digest, id);
      }
    }
    return living;
  }

  async adopt(unowned: readonly Boot[], owned: ReadonlySet<string | undefined>): Promise<void> {
    const known = new Set(await this.deps.files.list());
    const living = new Set(unowned.map((boot) => boot.id));
    const dead = [...known].filter((id) => !owned.has(id) && !living.has(id));
    // Every link is named in its boot's folder once the boot has it: those without one are left-overs.
    const notes = await Promise.all([...known].map((id) => this.deps.files.readNote(id)));
    const kept = new Set(notes.map((note) => note?.link.ifname));
    for (const link of await this.deps.net.list()) if (!kept.has(link.ifname)) await this.deps.net.detach(link);
    const waiting = notes.flatMap((note) => (note?.waiting && living.has(note.id) ? [note] : []));
    const unusable = [...living].filter((id) => !waiting.some((note) => note.id === id));
    await Promise.all([...dead, ...unusable].map((id) => this.destroy(id)));
    for (const { network: _, ...note } of waiting) {
      // The earlier process may have lost its rules with the policy among them.
      await this.deps.files.writeNote(note);
      await this.deps.pool.adopt(bootOf(note));
    }
  }

  postMortem(bootId: string): ReturnType<Machine["postMortem"]> {
    return this.deps.control.postMortem(bootId);
  }

  async close({ forGood }: { readonly forGood: boolean }): Promise<void> {
    clearTimeout(this.refill);
    await this.deps.diskWatch.close();
    await this.deps.pool.close();
    await this.deps.checkpoints.close();
    await this.deps.images.close();
    await this.deps.links.close();
    if (forGood) await this.deps.net.remove();
    await this.deps.net.close();
    if (forGood) await this.deps.removeShared();
  }
}
