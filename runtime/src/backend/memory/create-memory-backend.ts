import { ProblemError } from "#core/problem-error.ts";
import { hasEnded, type Sandbox } from "#core/sandbox.ts";
import { watchState } from "#core/watch-state.ts";
import type { CreateSandbox, ListSandboxes, Page, SandboxBackend } from "../port.ts";
import { startSandbox, type MemorySandbox } from "./memory-sandbox.ts";
import { createMemoryWorld, type MemoryWorld } from "./memory-world.ts";
import { createMemorySnapshots } from "./snapshot/memory-snapshots.ts";
import { createSnapshotShelf } from "./snapshot/snapshot-shelf.ts";

/** The port in memory, with simulated containers: its executable meaning, and a gateway to try clients against. */
export interface MemoryBackend extends SandboxBackend {
  /** Kills and restarts the agent of a sandbox, as its user can. */
  restartAgent(id: string): void;
}

export function createMemoryBackend(overrides: Partial<MemoryWorld> = {}): MemoryBackend {
  const world = createMemoryWorld(overrides);
  const sandboxes = new Map<string, MemorySandbox>();
  const shelf = createSnapshotShelf();
  const snapshots = createMemorySnapshots({
    world,
    shelf,
    freeze(id, container) {
      const message = `There is no sandbox "${id}".`;
      return sandboxes.get(id)?.freeze(container) ?? { kind: "fault", reason: "SandboxNotFound", message };
    },
    isHeld: (name) =>
      [...sandboxes.values()].some((sandbox) => {
        const { phase, spec } = sandbox.view();
        return phase === "Pending" && spec.containers.some((container) => container.rootfsSnapshotName === name);
      }),
  });

  const find = (id: string): MemorySandbox => {
    const sandbox = sandboxes.get(id);
    if (sandbox === undefined) throw new ProblemError("sandbox-not-found", `There is no sandbox "${id}".`);
    return sandbox;
  };

  async function create(request: CreateSandbox): Promise<Sandbox> {
    const known = sandboxes.get(request.id)?.view();
    if (known !== undefined && known.requestDigest !== request.requestDigest) {
      throw new ProblemError("idempotency-mismatch", `The sandbox "${request.id}" was made from another request.`);
    }
    if (known !== undefined) return known;
    const living = [...sandboxes.values()].filter((sandbox) => !hasEnded(sandbox.view().phase)).length;
    if (living >= world.maxSandboxes) {
      throw new ProblemError("capacity-exhausted", `There are ${living} sandboxes already, which is the most allowed.`);
    }
    const sandbox = startSandbox(request, {
      world,
      shelf,
      takeSnapshot: (of) => snapshots.take(of),
      onGone: () => sandboxes.delete(request.id),
    });
    sandboxes.set(request.id, sandbox);
    return sandbox.view();
  }

  return {
    create,
    confirm: async (id) => void find(id),
    get: async (id) => find(id).view(),
    list: async (query) =>
      page(
        [...sandboxes.values()].map((sandbox) => sandbox.view()),
        query,
      ),
    phases: () => [...sandboxes.values()].map((sandbox) => sandbox.view().phase),
    remove: async (id) => sandboxes.get(id)?.requestRemoval(),
    watch: (id, { signal }) => watchState(() => find(id), signal),
    async agent(id) {
      const sandbox = find(id);
      const { phase } = sandbox.view();
      if (hasEnded(phase)) throw new ProblemError("sandbox-ended", `The sandbox "${id}" has ended.`);
      if (phase !== "Running")
        throw new ProblemError("sandbox-not-ready", `The sandbox "${id}" is ${phase}, not Running.`);
      return sandbox.agent.fetch;
    },
    ...(world.takesSnapshots ? { snapshots } : {}),
    ready: async () => undefined,
    async close() {
      snapshots.halt();
      for (const sandbox of sandboxes.values()) sandbox.halt();
    },
    restartAgent: (id) => find(id).agent.restart(),
  };
}

function page(all: readonly Sandbox[], { limit = all.length, after }: ListSandboxes): Page<Sandbox> {
  const start = after === undefined ? 0 : all.findIndex((sandbox) => sandbox.id === after) + 1;
  const items = all.slice(start, start + limit);
  const last = items.at(-1);
  return start + items.length < all.length && last !== undefined ? { items, next: last.id } : { items };
}
