import { readJson } from "./body.ts";
import { withDeadline } from "./deadline.ts";
import type { CallOptions } from "./options.ts";
import { parseSnapshot } from "./parse.ts";
import { expectNothing, type Transport } from "./transport.ts";
import type { SnapshotBase, SnapshotDocument, SnapshotProgress, SnapshotStatus, SnapshotWarning } from "./wire.ts";

export const SNAPSHOTS_PATH = "/v1/rootfs-snapshots";

/** The record of a snapshot as of the latest answer of the server; `refresh` asks again. */
export class Snapshot {
  readonly #transport: Transport;
  readonly #path: string;
  #document: SnapshotDocument;

  constructor(transport: Transport, document: SnapshotDocument) {
    this.#transport = transport;
    this.#document = document;
    this.#path = snapshotPath(document.id);
  }

  /** Of this record, which goes some time after its end; sandboxes restore by `snapshotName`. */
  get id(): string {
    return this.#document.id;
  }
  /** What `rootfsSnapshotName` of a new sandbox names. */
  get snapshotName(): string {
    return this.#document.snapshotName;
  }
  get sandboxId(): string {
    return this.#document.sandboxId;
  }
  get containerName(): string | undefined {
    return this.#document.containerName;
  }
  get status(): SnapshotStatus {
    return this.#document.status;
  }
  /** Code for why it has this status, when there is more to say. */
  get reason(): string | undefined {
    return this.#document.reason;
  }
  /** The same in one sentence. */
  get message(): string | undefined {
    return this.#document.message;
  }
  get progress(): SnapshotProgress | undefined {
    return this.#document.progress;
  }
  get creationTimestamp(): Date {
    return new Date(this.#document.creationTimestamp);
  }
  get startedAt(): Date | undefined {
    return dateOf(this.#document.startedAt);
  }
  get completedAt(): Date | undefined {
    return dateOf(this.#document.completedAt);
  }
  /** When the record goes; what was written stays. */
  get expiresAt(): Date | undefined {
    return dateOf(this.#document.expiresAt);
  }
  get timeoutSeconds(): number {
    return this.#document.timeoutSeconds;
  }
  get ttlSecondsAfterFinished(): number {
    return this.#document.ttlSecondsAfterFinished;
  }
  /** Where in the store it lies. */
  get snapshotKey(): string | undefined {
    return this.#document.snapshotKey;
  }
  /** What was written, compressed. */
  get bytes(): number | undefined {
    return this.#document.bytes;
  }
  /** The image whose changes it holds. */
  get base(): SnapshotBase | undefined {
    return this.#document.base;
  }
  /** What it does not hold as it was in the container. */
  get warnings(): readonly SnapshotWarning[] {
    return this.#document.warnings ?? [];
  }

  /** Asks the server for the present state; returns this snapshot. */
  async refresh(call: CallOptions = {}): Promise<this> {
    this.#document = await withDeadline(call, "The question for the snapshot", (signal) =>
      this.#transport.send({ method: "GET", path: this.#path, repeatable: true, signal }, readJson(parseSnapshot)),
    );
    return this;
  }

  /** Removes the record and what it wrote, unless a later snapshot of the same name replaced that. Removing it twice is no fault. */
  delete(call: CallOptions = {}): Promise<void> {
    return deleteSnapshot(this.#transport, this.id, call);
  }
}

export function snapshotPath(id: string): string {
  return `${SNAPSHOTS_PATH}/${encodeURIComponent(id)}`;
}

export function deleteSnapshot(transport: Transport, id: string, call: CallOptions): Promise<void> {
  return withDeadline(call, "The removal of the snapshot", (signal) =>
    transport.send({ method: "DELETE", path: snapshotPath(id), repeatable: true, signal }, expectNothing),
  );
}

function dateOf(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : new Date(text);
}
