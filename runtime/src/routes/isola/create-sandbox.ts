import type { CreateSandboxRequest } from "#api/sandbox.ts";
import { digestOf, sandboxIdOfKey } from "#core/derived-id.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { Sandbox } from "#core/sandbox.ts";
import type { Call, SandboxBackend } from "../../backend/port.ts";
import type { RouteDeps } from "../../gateway.ts";
import { checkSpec, checkSupported } from "./check-create.ts";
import { toSpec } from "./convert.ts";
import { settled } from "./settled.ts";

/**
 * Makes a sandbox and waits for a bounded time until it runs or has failed. A caller that goes
 * away meanwhile, or gets an error, could never learn the id: its sandbox is removed, unless an
 * idempotency key lets the caller find it again.
 */
export async function createSandbox(
  request: CreateSandboxRequest,
  key: string | undefined,
  { backend, clock, ids, config, discards, call }: RouteDeps & { readonly call: Call },
): Promise<Sandbox> {
  checkSupported(request, backend);
  const id = key === undefined ? ids.sandboxId() : await sandboxIdOfKey(key);
  const spec = toSpec(request, id);
  checkSpec(spec);
  const { $schema: _, ...facts } = request;
  const requestDigest = await digestOf(facts);
  const provisional = key === undefined;
  const untilMs = clock.now() + config.createWaitMs;
  let mayExist = false;
  try {
    const created = await backend.create({ id, spec, requestDigest, provisional }, call);
    mayExist = true;
    const present = await started(backend, created, { untilMs, clock, call });
    call.signal.throwIfAborted();
    if (provisional) await confirm(backend, id, call);
    call.signal.throwIfAborted();
    return present;
  } catch (error) {
    mayExist ||= call.signal.aborted || isOutcomeOpen(error);
    if (provisional && mayExist) discards.begin(id, call.log);
    throw error;
  }
}

/** The state when it is no longer Pending, or at the deadline. */
async function started(
  backend: SandboxBackend,
  created: Sandbox,
  { untilMs, clock, call }: Pick<RouteDeps, "clock"> & { untilMs: number; call: Call },
): Promise<Sandbox> {
  let last = created;
  const isSettled = (sandbox: Sandbox): boolean => {
    last = sandbox;
    return sandbox.phase !== "Pending";
  };
  try {
    return await settled({
      first: created,
      isSettled,
      watch: (of) => backend.watch(created.id, of),
      untilMs,
      clock,
      call,
    });
  } catch (error) {
    if (!isGone(error)) throw error;
    return { ...last, phase: "Terminating", reason: "Deleting" };
  }
}

/** Someone else may have removed it meanwhile: the answer is the last state all the same. */
async function confirm(backend: SandboxBackend, id: string, call: Call): Promise<void> {
  try {
    await backend.confirm(id, call);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Every other problem is a refusal, after which nothing was made. */
function isOutcomeOpen(error: unknown): boolean {
  return !(error instanceof ProblemError) || error.slug === "internal";
}

function isGone(error: unknown): boolean {
  return error instanceof ProblemError && error.slug === "sandbox-not-found";
}
