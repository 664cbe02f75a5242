import { readJson } from "./body.ts";
import { given } from "./create-options.ts";
import { sleep, untilAborted, withDeadline } from "./deadline.ts";
import { NotFoundError, SnapshotFailedError } from "./errors.ts";
import type { CallOptions } from "./options.ts";
import { parseSnapshot, parseSnapshotList } from "./parse.ts";
import { deleteSnapshot, Snapshot, snapshotPath, SNAPSHOTS_PATH } from "./snapshot.ts";
import type { Transport } from "./transport.ts";
import type { CreateSnapshotBody, SnapshotDocument } from "./wire.ts";

/** What is to be taken. */
export interface SnapshotSettings {
  /** What sandboxes restore it by; default: the sandbox's id. A snapshot that has the name is replaced. */
  readonly snapshotName?: string | undefined;
  /** Default: the first container. */
  readonly containerName?: string | undefined;
  /** Longest time, enforced by the server; default 300. */
  readonly timeoutSeconds?: number | undefined;
  /** How long the record stays after its end; default 300. What was written stays in any case. */
  readonly ttlSecondsAfterFinished?: number | undefined;
}

export interface SnapshotCall {
  /** Gives the wait up; the snapshot is taken all the same. */
  readonly signal?: AbortSignal | undefined;
  /** Longest wait until it is complete, in milliseconds. Default 310 000; 0 returns without waiting. */
  readonly maxWaitMs?: number | undefined;
  /** Called with each state that is seen on the way, and with the last. */
  readonly onProgress?: ((snapshot: Snapshot) => void) | undefined;
  /** Names this snapshot: a later one with the same key answers with the same record. Default: a random one. */
  readonly idempotencyKey?: string | undefined;
}

export type SnapshotOptions = SnapshotSettings & { readonly sandboxId: string } & SnapshotCall;

/** Which records to list; all that is given must be true. */
export interface SnapshotFilter {
  readonly snapshotName?: string | undefined;
  readonly sandboxId?: string | undefined;
}

const DEFAULT_MAX_WAIT_MS = 310_000;
const FIRST_POLL_MS = 100;
const LAST_POLL_MS = 1_000;
/** Servers answer a creation within 20 s even when the snapshot is not complete. */
const CREATE_WAIT_MS = 20_000;
const PAGE_SIZE = 500;

export class Snapshots {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Takes a snapshot and waits until it is complete. Throws SnapshotFailedError with the server's
   * reason when it cannot be taken, TimeoutError after `maxWaitMs`; it goes on then.
   */
  async create(options: SnapshotOptions, call: SnapshotCall = {}): Promise<Snapshot> {
    const { signal, maxWaitMs = DEFAULT_MAX_WAIT_MS, idempotencyKey, onProgress } = { ...options, ...call };
    signal?.throwIfAborted();
    const created = this.#post(options, idempotencyKey ?? crypto.randomUUID());
    const waits = maxWaitMs === 0 ? {} : { timeoutMs: maxWaitMs };
    return withDeadline({ signal, ...waits }, "The snapshot", async (limit) => {
      const first = await untilAborted(created, limit);
      if (maxWaitMs === 0) return new Snapshot(this.#transport, first);
      return this.#untilComplete(first, { limit, onProgress });
    });
  }

  /** The record with this id; NotFoundError when there is none, or none any more. */
  get(id: string, call: CallOptions = {}): Promise<Snapshot> {
    return withDeadline(call, "The question for the snapshot", async (signal) => {
      return new Snapshot(this.#transport, await this.#fetch(id, signal));
    });
  }

  /** Records in the order of their creation, fetched page by page as they are consumed. */
  async *list(filter: SnapshotFilter = {}, call: CallOptions = {}): AsyncGenerator<Snapshot, void, void> {
    let after: string | undefined;
    do {
      const query = { ...filter, limit: `${PAGE_SIZE}`, after };
      const page = await withDeadline(call, "The list of snapshots", (signal) =>
        this.#transport.send(
          { method: "GET", path: SNAPSHOTS_PATH, query, repeatable: true, signal },
          readJson(parseSnapshotList),
        ),
      );
      for (const document of page.rootfsSnapshots) yield new Snapshot(this.#transport, document);
      after = page.next;
    } while (after !== undefined);
  }

  /** Removes the record and what it wrote, unless a later snapshot of the same name replaced that. Idempotent. */
  delete(id: string, call: CallOptions = {}): Promise<void> {
    return deleteSnapshot(this.#transport, id, call);
  }

  #post(options: SnapshotOptions, idempotencyKey: string): Promise<SnapshotDocument> {
    const { sandboxId, snapshotName, containerName, timeoutSeconds, ttlSecondsAfterFinished } = options;
    const body: CreateSnapshotBody = given({
      sandboxId,
      snapshotName,
      containerName,
      timeoutSeconds,
      ttlSecondsAfterFinished,
    });
    return this.#transport.send(
      {
        method: "POST",
        path: SNAPSHOTS_PATH,
        headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
        body: { kind: "bytes", bytes: JSON.stringify(body) },
        repeatable: true,
        extraTimeMs: CREATE_WAIT_MS,
      },
      readJson(parseSnapshot),
    );
  }

  async #untilComplete(
    first: SnapshotDocument,
    { limit, onProgress }: { limit: AbortSignal | undefined; onProgress: SnapshotCall["onProgress"] },
  ): Promise<Snapshot> {
    let document = first;
    for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 1.5, LAST_POLL_MS)) {
      const snapshot = new Snapshot(this.#transport, document);
      onProgress?.(snapshot);
      if (document.status === "Succeeded") return snapshot;
      if (document.status === "Failed") throw failure(document);
      await sleep(pauseMs, limit);
      try {
        document = await this.#fetch(first.id, limit);
      } catch (error) {
        // Servers with a cache may not know a new record yet.
        if (!(error instanceof NotFoundError)) throw error;
      }
    }
  }

  #fetch(id: string, signal: AbortSignal | undefined): Promise<SnapshotDocument> {
    return this.#transport.send(
      { method: "GET", path: snapshotPath(id), repeatable: true, signal },
      readJson(parseSnapshot),
    );
  }
}

function failure({ id, snapshotName, reason, message }: SnapshotDocument): SnapshotFailedError {
  const why = message ?? reason ?? "The server does not say why.";
  return new SnapshotFailedError(`Snapshot "${snapshotName}" was not taken: ${why}`, id, reason);
}
