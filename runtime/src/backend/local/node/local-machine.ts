import type { SandboxSpec } from "#core/sandbox.ts";
import type { AgentFetch, Call } from "#runtime/backend/port.ts";
import type { Boot, ContainerEnd, Machine } from "../machine.ts";
import { shapeOf } from "../shape.ts";
import type { BootControl } from "./boot-control.ts";
import type { BootFiles } from "./boot-files.ts";
import type { BootMaker } from "./boot-maker.ts";
import type { BootPool } from "./boot-pool.ts";
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
  readonly agentFetch: (bootId: string) => AgentFetch;
  readonly images: Pick<ImageStore, "hold" | "releaseAll" | "close">;
  /** Removes the folders and control groups that sandboxes share. */
  readonly removeShared: () => Promise<void>;
  /** Drops the connections to a boot's agent. */
  readonly forgetAgent: (bootId: string) => void;
}

/** From a start to the making of what comes next. */
const REFILL_DELAY_MS = 300;

/** The machine port over runsc, one kernel a sandbox. */
export class LocalMachine implements Machine {
  readonly shapeOf = shapeOf;
  private readonly deps: LocalMachineDeps;
  /** Containers known to have ended, by boot: the agent no longer lists them. */
  private readonly exited = new Map<string, Set<string>>();

  private refill: ReturnType<typeof setTimeout> | undefined;

  constructor(deps: LocalMachineDeps) {
    this.deps = deps;
  }

  takeBoot(shape: Boot["shape"], call: Call): Promise<Boot> {
    return this.deps.pool.take(shape, call);
  }

  startContainers(boot: Boot, spec: SandboxSpec, call: Call): Promise<Boot> {
    return startContainers(this.deps.containers, boot, spec, call);
  }

  agentReady(boot: Boot, call: Call): Promise<void> {
    return this.deps.maker.agentAnswers(boot.id, call.signal, (health) => {
      const seen = new Set([
        ...health.containers.map((container) => container.name),
        ...(this.exited.get(boot.id) ?? []),
      ]);
      return boot.containers.every((name) => seen.has(name));
    });
  }

  async waitContainer(boot: Boot, container: string, signal: AbortSignal): Promise<ContainerEnd> {
    const end = await this.deps.control.wait(boot, container, signal);
    const exited = this.exited.get(boot.id) ?? new Set();
    this.exited.set(boot.id, exited.add(container));
    return end;
  }

  agentFetch(boot: Boot): AgentFetch {
    return this.deps.agentFetch(boot.id);
  }

  async destroy(bootId: string): Promise<void> {
    await this.deps.maker.remove(bootId);
    this.deps.images.releaseAll(bootId);
    this.deps.forgetAgent(bootId);
    this.exited.delete(bootId);
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
        living.set(id, { id, shape: note.shape, containers: note.containers });
        for (const digest of note.images) this.deps.images.hold(digest, id);
      }
    }
    return living;
  }

  async adopt(unowned: readonly Boot[], owned: ReadonlySet<string | undefined>): Promise<void> {
    const known = new Set(await this.deps.files.list());
    const living = new Set(unowned.map((boot) => boot.id));
    const dead = [...known].filter((id) => !owned.has(id) && !living.has(id));
    const used = unowned.filter((boot) => boot.containers.length > 0).map((boot) => boot.id);
    // Every link is named in its boot's folder once the boot has it: those without one are left-overs.
    const notes = await Promise.all([...known].map((id) => this.deps.files.readNote(id)));
    const kept = new Set(notes.map((note) => note?.link.ifname));
    for (const link of await this.deps.net.list()) if (!kept.has(link.ifname)) await this.deps.net.detach(link);
    await Promise.all([...dead, ...used].map((id) => this.destroy(id)));
    for (const boot of unowned) if (boot.containers.length === 0) await this.deps.pool.adopt(boot);
  }

  postMortem(bootId: string): ReturnType<Machine["postMortem"]> {
    return this.deps.control.postMortem(bootId);
  }

  async close({ forGood }: { readonly forGood: boolean }): Promise<void> {
    clearTimeout(this.refill);
    await this.deps.pool.close();
    await this.deps.images.close();
    await this.deps.links.close();
    if (forGood) await this.deps.net.remove();
    await this.deps.net.close();
    if (forGood) await this.deps.removeShared();
  }
}
