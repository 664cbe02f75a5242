import { AGENT_NONCE_HEADER, AGENT_PATHS, AGENT_PROOF_HEADER } from "#api/agent-protocol.ts";
import { checkAgentProof, generateNonce } from "#core/agent-proof.ts";
import type { Clock } from "#core/clock.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { AgentFetch } from "../backend/port.ts";

/** A body leaves only to an agent that proved itself so recently. */
const PROOF_KEPT_MS = 1000;
/** Longest wait for the proof that a body waits for. */
const PROOF_WAIT_MS = 5000;

export interface ProvenFetchDeps {
  /** The key that only this sandbox's agent has. */
  readonly key: string;
  readonly clock: Clock;
}

/**
 * Believes nobody but the sandbox's own agent: an answer without the proof for its request's nonce is
 * dropped unread, and a body is sent only where a proof came from within the last second. An
 * address that now belongs to another sandbox thus neither speaks for this one nor sees its data.
 */
export function createProvenFetch(send: AgentFetch, { key, clock }: ProvenFetchDeps): AgentFetch {
  let provenAtMs = -Infinity;

  async function exchange(request: Request): Promise<Response> {
    const nonce = generateNonce();
    request.headers.set(AGENT_NONCE_HEADER, nonce);
    const response = await send(request);
    if (await checkAgentProof(key, nonce, response.headers.get(AGENT_PROOF_HEADER) ?? "")) {
      provenAtMs = clock.now();
      return response;
    }
    provenAtMs = -Infinity;
    await response.body?.cancel().catch(() => undefined);
    throw new Error(`An answer with status ${response.status} came without the agent's proof`);
  }

  async function prove(signal: AbortSignal): Promise<void> {
    const deadline = new AbortController();
    const timer = new AbortController();
    clock.sleep(PROOF_WAIT_MS, timer.signal).then(
      () => deadline.abort(new Error("The agent did not prove itself in time")),
      () => undefined,
    );
    try {
      const either = AbortSignal.any([signal, deadline.signal]);
      const ask = (): Promise<Response> =>
        exchange(new Request(`http://agent${AGENT_PATHS.health}`, { signal: either }));
      const { body } = await ask().catch(() => {
        either.throwIfAborted();
        // A connection that was kept may just have ended; asking again does no harm.
        return ask();
      });
      await body?.cancel();
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof ProblemError) throw cause;
      // Nothing of the request has left: its repeat is safe.
      throw new ProblemError("agent-unreachable", "The sandbox's agent does not answer.", { cause });
    } finally {
      timer.abort();
    }
  }

  function isProven(): boolean {
    // The machine's clock may be set back: a proof from later than now is of unknown age.
    const ageMs = clock.now() - provenAtMs;
    return ageMs >= 0 && ageMs <= PROOF_KEPT_MS;
  }

  return async (request) => {
    if (request.body !== null && !isProven()) await prove(request.signal);
    return exchange(request);
  };
}
