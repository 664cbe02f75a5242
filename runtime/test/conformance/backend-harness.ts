import { silentLog } from "#core/log.ts";
import { cryptoIds } from "#core/ids.ts";
import type { ContainerSpec, Sandbox, SandboxSpec } from "#core/sandbox.ts";
import type { Call, SandboxBackend } from "#runtime/backend/port.ts";
import { agentCalls, type AgentCalls } from "./agent-calls.ts";

/** A backend under test and what its world has. */
export interface BackendUnderTest {
  readonly backend: SandboxBackend;
  /** An image with /bin/sh, coreutils and a root directory that can be written. */
  readonly image: string;
  /** A reference that no registry has. */
  readonly missingImage: string;
  /** A lifetime within which a sandbox comes to run. @default 1 */
  readonly lifetimeSeconds?: number;
  /** Present when the backend takes snapshots. */
  readonly snapshots?: {
    /** Another image than `image`, with what `image` must have. */
    readonly otherImage: string;
  };
  /** Ends the agent of a running sandbox as its user can, and waits for the next one. */
  restartAgent(id: string): Promise<void>;
  dispose(): Promise<void>;
}

export type MakeBackend = () => Promise<BackendUnderTest>;

/** Longest wait of one case; real sandboxes are slow on a busy machine. */
export const CASE_TIMEOUT_MS = 60_000;

/** What the cases of the suite share: one backend, and shorthands for its calls. */
export function createBench(harness: BackendUnderTest) {
  const { backend, image } = harness;
  const call: Call = { signal: new AbortController().signal, log: silentLog };
  const made = new Set<string>();
  const leaving: Promise<void>[] = [];

  const spec = (container: Partial<ContainerSpec> = {}, rest: Partial<SandboxSpec> = {}): SandboxSpec => ({
    containers: [{ name: "sandbox0", image, env: {}, ...container }],
    startupTimeoutSeconds: 60,
    ...rest,
  });

  async function create(
    of: SandboxSpec = spec(),
    id = cryptoIds.sandboxId(),
    requestDigest = "digest",
  ): Promise<Sandbox> {
    made.add(id);
    return backend.create({ id, spec: of, requestDigest }, call);
  }

  /** Watches until the sandbox is as wanted; the last state seen when it goes away first. */
  async function until(id: string, wanted: (sandbox: Sandbox) => boolean): Promise<Sandbox> {
    let last: Sandbox | undefined;
    for await (const sandbox of backend.watch(id, { ...call, signal: AbortSignal.timeout(CASE_TIMEOUT_MS) })) {
      last = sandbox;
      if (wanted(sandbox)) return sandbox;
    }
    throw new Error(
      `The sandbox ${id} never came to the wanted state; last seen: ${last?.phase} ${last?.reason} ${last?.message}`,
    );
  }

  async function running(of?: SandboxSpec): Promise<{ sandbox: Sandbox; agent: AgentCalls }> {
    const { id } = await create(of);
    const sandbox = await until(id, ({ phase }) => phase !== "Pending");
    if (sandbox.phase !== "Running")
      throw new Error(`The sandbox is ${sandbox.phase}: ${sandbox.reason} ${sandbox.message}`);
    return { sandbox, agent: agentCalls(await backend.agent(id, call)) };
  }

  /** Resolves when the sandbox has gone. */
  async function gone(id: string): Promise<void> {
    try {
      for await (const _ of backend.watch(id, { ...call, signal: AbortSignal.timeout(CASE_TIMEOUT_MS) }));
    } catch {
      // It went before the watch began.
    }
  }

  /** Asks for the removal of what a case made; the next case need not wait until it is gone. */
  async function removeAll(): Promise<void> {
    const ids = [...made];
    made.clear();
    await Promise.all(ids.map((id) => backend.remove(id, call)));
    for (const id of ids) leaving.push(gone(id));
  }

  /** Resolves when nothing is left of what `removeAll` removed. */
  async function allGone(): Promise<void> {
    await Promise.all(leaving.splice(0));
  }

  return { ...harness, call, spec, create, until, running, gone, removeAll, allGone };
}

export type Bench = ReturnType<typeof createBench>;
