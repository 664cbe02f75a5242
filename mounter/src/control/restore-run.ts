import type { SandboxRootfsRestore } from "#api/crd/sandbox.ts";
import { backoffMs } from "#core/backoff.ts";
import type { Clock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";
import { checkBase, checkSize, RestoreFault } from "../domain/restore/restore-fault.ts";
import type { RestoreJob, WantedRestore } from "../domain/restore/restore-job.ts";
import type { RestoreTeller } from "./restore-teller.ts";
import type { FoundRestore, PlacedRestore, RestoreWork } from "./restore-work.ts";

export interface RestoreRunPorts {
  readonly work: RestoreWork;
  readonly teller: RestoreTeller;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Resolves when a snapshot of this name was written, or after so long. */
  readonly untilWritten: (name: string, mostMs: number, signal: AbortSignal) => Promise<void>;
  /** What the sandbox's status says already, of an earlier life of this program. */
  readonly said: readonly SandboxRootfsRestore[];
}

/** How a sandbox's restores stand when nothing more is to be done for them. */
export type RestoreOutcome = { readonly kind: "ready" | "failed"; readonly placed: readonly PlacedRestore[] };

/** How often the store is asked for a snapshot that is not there yet, and how soon what failed is tried again. */
const POLL = { firstMs: 500, mostMs: 5000, factor: 1.5 };
const AGAIN = { firstMs: 1000, mostMs: 30_000 };
/** What is damaged may have been damaged on its way: it is read so often before it counts. */
const DAMAGE_TRIES = 3;
const MOST_MESSAGE = 4096;

/**
 * Brings all that a sandbox starts from to this node. Waits for snapshots that are not there yet and for
 * a store that gives no answer; ends when all is in place and said so, or one can never be.
 */
export async function runRestores(
  ports: RestoreRunPorts,
  job: RestoreJob,
  signal: AbortSignal,
): Promise<RestoreOutcome> {
  const sizes = new Map<string, number>();
  const outcomes = await Promise.allSettled(
    job.wanted.map((wanted) => new Restoring(ports, job, { wanted, sizes }).run(signal)),
  );
  const placed = outcomes.flatMap((outcome) =>
    outcome.status === "fulfilled" && outcome.value !== undefined ? [outcome.value] : [],
  );
  try {
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    await ports.teller.written(signal);
  } catch (error) {
    for (const { remove } of placed) await remove();
    throw error;
  }
  return { kind: placed.length === job.wanted.length ? "ready" : "failed", placed };
}

class Restoring {
  readonly #ports: RestoreRunPorts;
  readonly #job: RestoreJob;
  readonly #wanted: WantedRestore;
  /** Unpacked bytes of all that the sandbox restores, by container. */
  readonly #sizes: Map<string, number>;
  /** What it is said to wait for. */
  #waitsFor: string | undefined;

  constructor(
    ports: RestoreRunPorts,
    job: RestoreJob,
    { wanted, sizes }: { readonly wanted: WantedRestore; readonly sizes: Map<string, number> },
  ) {
    this.#ports = ports;
    this.#job = job;
    this.#wanted = wanted;
    this.#sizes = sizes;
  }

  /** The archive in its place; undefined = it can never be. */
  async run(signal: AbortSignal): Promise<PlacedRestore | undefined> {
    const earlier = await this.#earlier();
    if (earlier !== "none") return earlier;
    const { clock, random, work, log } = this.#ports;
    for (let [round, damages] = [0, 0]; ; round += 1) {
      try {
        return await this.#attempt(signal);
      } catch (error) {
        signal.throwIfAborted();
        const { message, isDamage } = work.fault(error);
        const { namespace, sandboxName } = this.#job;
        log.warn("A restore failed", { sandbox: `${namespace}/${sandboxName}`, error });
        if (isDamage) damages += 1;
        if (error instanceof RestoreFault || damages >= DAMAGE_TRIES) {
          const reason = isDamage ? "SnapshotDamaged" : "RootfsRestoreConfigurationError";
          this.#tell({ phase: "Failed", reason, message: message.slice(0, MOST_MESSAGE) }, true);
          return undefined;
        }
        this.#wait(message, false);
        await clock.sleep(backoffMs(round, AGAIN, random), signal);
      }
    }
  }

  /** What an earlier life of this program has done for this container. */
  async #earlier(): Promise<PlacedRestore | undefined | "none"> {
    const { work, said } = this.#ports;
    const { containerName, snapshotName } = this.#wanted;
    const found = said.find((one) => one.containerName === containerName && one.snapshotName === snapshotName);
    if (found !== undefined) this.#ports.teller.tell(found, true);
    if (found?.phase === "Failed") return undefined;
    if (found?.phase !== "Ready") return "none";
    return (await work.placed(this.#job, containerName)) ?? "none";
  }

  async #attempt(signal: AbortSignal): Promise<PlacedRestore> {
    const { work } = this.#ports;
    const found = await this.#find(signal);
    const { manifest } = found;
    checkBase(this.#wanted, manifest);
    if (found.tarBytes !== undefined) this.#checkSize(found.tarBytes);
    const known = manifest === undefined ? {} : { writeId: manifest.writeId, base: manifest.base };
    this.#tell({ phase: "Fetching", ...known }, false);
    const onProgress = (bytesDone: number, bytesTotal: number): void =>
      this.#tell({ phase: "Fetching", ...known, bytesDone, bytesTotal }, false);
    const placed = await work.place(this.#job, this.#wanted.containerName, found, { signal, onProgress });
    try {
      this.#checkSize(placed.tarBytes);
    } catch (error) {
      await placed.remove();
      throw error;
    }
    const message = manifest === undefined ? { message: this.#rawWarning() } : {};
    this.#tell({ phase: "Ready", ...known, tarBytes: placed.tarBytes, ...message }, true);
    return placed;
  }

  async #find(signal: AbortSignal): Promise<FoundRestore> {
    const { work, random, untilWritten } = this.#ports;
    const { snapshotName } = this.#wanted;
    const { namespace } = this.#job;
    const onTrouble = (error: unknown): void => this.#wait(work.fault(error).message, false);
    for (let round = 0; ; round += 1) {
      const found = await work.find({ namespace, name: snapshotName }, { signal, onTrouble });
      if (found !== undefined) return found;
      this.#wait(`There is no snapshot "${snapshotName}" yet.`, true);
      await untilWritten(snapshotName, backoffMs(round, POLL, random), signal);
    }
  }

  #checkSize(tarBytes: number): void {
    const { memoryBytes } = this.#job;
    this.#sizes.set(this.#wanted.containerName, tarBytes);
    const allTarBytes = [...this.#sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
    checkSize(this.#wanted, { tarBytes, allTarBytes, ...(memoryBytes === undefined ? {} : { memoryBytes }) });
  }

  #rawWarning(): string {
    return `The snapshot "${this.#wanted.snapshotName}" was written by another program and does not say over which image.`;
  }

  #wait(why: string, isUrgent: boolean): void {
    const message = why.slice(0, MOST_MESSAGE);
    if (message === this.#waitsFor) return;
    this.#tell({ phase: "Waiting", message }, isUrgent);
    this.#waitsFor = message;
  }

  #tell(state: Omit<SandboxRootfsRestore, "containerName" | "snapshotName">, isUrgent: boolean): void {
    const { containerName, snapshotName } = this.#wanted;
    this.#waitsFor = undefined;
    this.#ports.teller.tell({ containerName, snapshotName, ...state }, isUrgent);
  }
}
