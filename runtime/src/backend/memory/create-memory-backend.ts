import { ProblemError } from "#core/problem-error.ts";
import { hasEnded, type Sandbox } from "#core/sandbox.ts";
import type { Call, CreateSandbox, ListSandboxes, Page, SandboxBackend } from "../port.ts";
import { startSandbox, type MemorySandbox } from "./memory-sandbox.ts";
import { createMemoryWorld, type MemoryWorld } from "./memory-world.ts";

/** The port in memory, with simulated containers: its executable meaning, and a gateway to try clients against. */
export interface MemoryBackend extends SandboxBackend {
  /** Kills and restarts the agent of a sandbox, as its user can. */
  restartAgent(id: string): void;
}

export function createMemoryBackend(overrides: Partial<MemoryWorld> = {}): MemoryBackend {
  const world = createMemoryWorld(overrides);
  const sandboxes = new Map<string, MemorySandbox>();

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
    const sandbox = startSandbox(request, world, () => sandboxes.delete(request.id));
    sandboxes.set(request.id, sandbox);
    return sandbox.view();
  }

  async function* watch(id: string, { signal }: Call): AsyncGenerator<Sandbox, void, undefined> {
    const sandbox = find(id);
    const turn = new AbortController();
    const until = AbortSignal.any([signal, turn.signal]);
    try {
      while (!sandbox.gone && !signal.aborted) {
        const changed = sandbox.change.wait(until).then(
          () => true,
          () => false,
        );
        yield sandbox.view();
        if (!(await changed)) return;
      }
    } finally {
      turn.abort();
    }
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
    watch,
    async agent(id) {
      const sandbox = find(id);
      const { phase } = sandbox.view();
      if (hasEnded(phase)) throw new ProblemError("sandbox-ended", `The sandbox "${id}" has ended.`);
      if (phase !== "Running")
        throw new ProblemError("sandbox-not-ready", `The sandbox "${id}" is ${phase}, not Running.`);
      return sandbox.agent.fetch;
    },
    ready: async () => undefined,
    async close() {
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
