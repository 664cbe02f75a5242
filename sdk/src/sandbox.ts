/// <reference lib="esnext.disposable" preserve="true" />
import { readJson } from "./body.ts";
import { Commands } from "./commands.ts";
import { withDeadline } from "./deadline.ts";
import { NotFoundError } from "./errors.ts";
import { Filesystem } from "./filesystem.ts";
import type { CallOptions } from "./options.ts";
import { parseSandbox } from "./parse.ts";
import type { Snapshot } from "./snapshot.ts";
import { Snapshots, type SnapshotCall, type SnapshotSettings } from "./snapshots.ts";
import { expectNothing, type Transport } from "./transport.ts";
import type { ContainerInfo, Network, SandboxDocument, SandboxStatus, TerminationPolicyInfo } from "./wire.ts";

export const SANDBOXES_PATH = "/v1/sandboxes";

/** A sandbox as of the latest answer of the server; `refresh` asks again. */
export class Sandbox {
  readonly commands: Commands;
  readonly filesystem: Filesystem;
  readonly #transport: Transport;
  readonly #path: string;
  #document: SandboxDocument;

  constructor(transport: Transport, document: SandboxDocument) {
    this.#transport = transport;
    this.#document = document;
    this.#path = sandboxPath(document.id);
    this.commands = new Commands(transport, this.#path);
    this.filesystem = new Filesystem(transport, this.#path);
  }

  get id(): string {
    return this.#document.id;
  }
  get status(): SandboxStatus {
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
  get containers(): readonly ContainerInfo[] {
    return this.#document.podTemplate.containers;
  }
  get creationTimestamp(): Date {
    return new Date(this.#document.creationTimestamp);
  }
  get timeoutSeconds(): number | undefined {
    return this.#document.timeoutSeconds;
  }
  get startupTimeoutSeconds(): number {
    return this.#document.startupTimeoutSeconds;
  }
  get network(): Network | undefined {
    return this.#document.network;
  }
  get terminationPolicy(): TerminationPolicyInfo | undefined {
    return this.#document.terminationPolicy;
  }

  /** Asks the server for the present state; returns this sandbox. */
  async refresh(call: CallOptions = {}): Promise<this> {
    this.#document = await withDeadline(call, "The question for the sandbox", (signal) =>
      this.#transport.send({ method: "GET", path: this.#path, repeatable: true, signal }, readJson(parseSandbox)),
    );
    return this;
  }

  /**
   * Keeps the changes of one container over its image and waits until they are kept. The sandbox
   * goes on. Throws SnapshotFailedError with the server's reason when that fails.
   */
  snapshot(options: SnapshotSettings & SnapshotCall = {}): Promise<Snapshot> {
    return new Snapshots(this.#transport).create({ ...options, sandboxId: this.id });
  }

  /** Removes the sandbox. Returns when the server has accepted it; removing it twice is no fault. */
  delete(call: CallOptions = {}): Promise<void> {
    return withDeadline(call, "The removal of the sandbox", (signal) =>
      this.#transport.send({ method: "DELETE", path: this.#path, repeatable: true, signal }, expectNothing),
    );
  }

  /** For `await using`: removes the sandbox; one that is gone already is no fault. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.delete();
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
}

export function sandboxPath(id: string): string {
  return `${SANDBOXES_PATH}/${encodeURIComponent(id)}`;
}
