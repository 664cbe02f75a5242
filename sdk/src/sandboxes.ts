import { readJson } from "./body.ts";
import { createSandboxBody, type SandboxSpec } from "./create-options.ts";
import { sleep, untilAborted, withDeadline } from "./deadline.ts";
import { NotFoundError, SandboxFailedError, TimeoutError } from "./errors.ts";
import type { CallOptions } from "./options.ts";
import { parseSandbox, parseSandboxList } from "./parse.ts";
import { Sandbox, sandboxPath, SANDBOXES_PATH } from "./sandbox.ts";
import { expectNothing, type Transport } from "./transport.ts";
import type { SandboxDocument, SandboxStatus } from "./wire.ts";

export interface CreateCall {
  /** Gives the creation up; a sandbox that exists by then is removed. */
  readonly signal?: AbortSignal | undefined;
  /** Longest wait until the sandbox runs, in milliseconds. Default 120 000; 0 returns without waiting. */
  readonly maxWaitMs?: number | undefined;
  /** Names this creation: a later one with the same key answers with the same sandbox. Default: a random one. */
  readonly idempotencyKey?: string | undefined;
}

export type CreateOptions = SandboxSpec & CreateCall;

export interface SandboxSummary {
  readonly id: string;
  readonly status: SandboxStatus;
  readonly creationTimestamp: Date;
}

const DEFAULT_MAX_WAIT_MS = 120_000;
const FIRST_POLL_MS = 100;
const LAST_POLL_MS = 1_000;
/** Servers answer a creation within 20 s even when the sandbox is not ready. */
const CREATE_WAIT_MS = 20_000;
const CLEAN_UP_TIMEOUT_MS = 60_000;

export class Sandboxes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Creates a sandbox and waits until it runs. Throws SandboxFailedError with the server's
   * reason when it cannot start, TimeoutError after `maxWaitMs`. A creation that is given up
   * leaves no sandbox behind, unless the caller gave an `idempotencyKey` to come back with.
   */
  async create(options: CreateOptions, call: CreateCall = {}): Promise<Sandbox> {
    const { signal, maxWaitMs = DEFAULT_MAX_WAIT_MS, idempotencyKey } = { ...options, ...call };
    signal?.throwIfAborted();
    // The request goes on when the caller gives up: only its answer tells which sandbox to remove.
    const created = this.#post(options, idempotencyKey ?? crypto.randomUUID());
    const waits = maxWaitMs === 0 ? {} : { timeoutMs: maxWaitMs };
    try {
      return await withDeadline({ signal, ...waits }, "The start of the sandbox", async (limit) => {
        const first = await untilAborted(created, limit);
        return new Sandbox(this.#transport, maxWaitMs === 0 ? first : await this.#untilRunning(first, limit));
      });
    } catch (error) {
      const gaveUp = signal?.aborted === true || error instanceof TimeoutError;
      if (gaveUp && idempotencyKey === undefined) this.#removeLater(created);
      throw error;
    }
  }

  /** The sandbox with this id; NotFoundError when there is none. */
  get(id: string, call: CallOptions = {}): Promise<Sandbox> {
    return withDeadline(call, "The question for the sandbox", async (signal) => {
      return new Sandbox(this.#transport, await this.#fetch(id, signal));
    });
  }

  /** All sandboxes, in short. */
  list(call: CallOptions = {}): Promise<SandboxSummary[]> {
    return withDeadline(call, "The list of sandboxes", async (signal) => {
      const request = { method: "GET", path: SANDBOXES_PATH, repeatable: true, signal } as const;
      const found = await this.#transport.send(request, readJson(parseSandboxList));
      return found.map((entry) => ({ ...entry, creationTimestamp: new Date(entry.creationTimestamp) }));
    });
  }

  #post(options: SandboxSpec, idempotencyKey: string): Promise<SandboxDocument> {
    return this.#transport.send(
      {
        method: "POST",
        path: SANDBOXES_PATH,
        headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
        body: { kind: "bytes", bytes: JSON.stringify(createSandboxBody(options)) },
        repeatable: true,
        extraTimeMs: CREATE_WAIT_MS,
      },
      readJson(parseSandbox),
    );
  }

  async #untilRunning(first: SandboxDocument, signal: AbortSignal | undefined): Promise<SandboxDocument> {
    let sandbox = first;
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 1.5, LAST_POLL_MS)) {
      if (sandbox.status === "Running") return sandbox;
      if (sandbox.status === "Failed" || sandbox.status === "Succeeded") throw startFailure(sandbox);
      await sleep(pauseMs, signal);
      try {
        sandbox = await this.#fetch(first.id, signal);
      } catch (error) {
        // Servers with a cache may not know a new sandbox yet.
        if (!(error instanceof NotFoundError)) throw error;
      }
    }
  }

  #fetch(id: string, signal: AbortSignal | undefined): Promise<SandboxDocument> {
    return this.#transport.send(
      { method: "GET", path: sandboxPath(id), repeatable: true, signal },
      readJson(parseSandbox),
    );
  }

  #removeLater(created: Promise<SandboxDocument>): void {
    const remove = async ({ id }: SandboxDocument): Promise<void> =>
      withDeadline({ timeoutMs: CLEAN_UP_TIMEOUT_MS }, "The removal of the sandbox", (signal) =>
        this.#transport.send({ method: "DELETE", path: sandboxPath(id), repeatable: true, signal }, expectNothing),
      );
    created.then(remove).catch(() => undefined);
  }
}

function startFailure({ id, status, reason, message }: SandboxDocument): SandboxFailedError {
  const why = message ?? `It is ${status} already.`;
  return new SandboxFailedError(`Sandbox ${id} did not start: ${why}`, id, reason);
}
