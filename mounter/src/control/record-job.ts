import type { SnapshotProgress } from "#api/snapshot.ts";
import { backoffMs } from "#core/backoff.ts";
import type { Clock } from "#core/clock.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import type { Log } from "#core/log.ts";
import { ARRIVAL_MS, PUBLISH_WINDOW_MS } from "#core/snapshot/publish-times.ts";
import { untilStored } from "#core/snapshot/until-stored.ts";
import type { Quota } from "../domain/quota.ts";
import { isOpenFor, type RecordJob } from "../domain/record/record-job.ts";
import type { RecordEnd } from "../domain/record/record-patch.ts";
import { succeededBy } from "../domain/record/record-result.ts";
import { recordTarget, type RecordTarget } from "../domain/record/record-pod.ts";
import { recordLate } from "../domain/record-fault.ts";
import { createProgressTeller } from "./record-progress.ts";
import type { RecordWrites } from "./record-writes.ts";
import type { Dump, SnapshotWork, WriteCall, Written } from "./snapshot-work.ts";

export interface RecordJobPorts {
  readonly nodeName: string;
  readonly work: SnapshotWork;
  readonly writes: RecordWrites;
  /** The sandbox's pod as it is now; undefined = there is none. */
  readonly readPod: (job: RecordJob, signal: AbortSignal) => Promise<Pod | undefined>;
  /** How many snapshots are taken at once. */
  readonly slots: Quota;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

export interface RecordJobCall {
  /** Fires when the record is taken away, with `TAKEN_AWAY`, or with the fault that its end is to be. */
  readonly wanted: AbortSignal;
  /** Fires when the program ends: what is under way is begun anew by its next life. */
  readonly life: AbortSignal;
}

/** Nothing is to be said of the record any more: somebody else has, or will. */
export const TAKEN_AWAY = new Error("The record was taken away");

const PAUSE = { firstMs: 500, mostMs: 10_000 };

/**
 * Takes one snapshot and says in its record how it ended. Whatever happens, the record never says
 * other than the store: a manifest is sent only within a time that the record itself allows, and
 * when it is not known whether one arrived, the store is asked once that time is over.
 */
export async function runRecordJob(ports: RecordJobPorts, job: RecordJob, call: RecordJobCall): Promise<void> {
  const { writes, clock, nodeName } = ports;
  const teller = createProgressTeller(clock, (progress) => writes.progress(job, progress, call.life));
  let end: RecordEnd | undefined;
  try {
    end = await new Taking(ports, job, call).run(teller.tell);
  } finally {
    await teller.end();
  }
  if (end !== undefined) await writes.end(job, end, (record) => isOpenFor(record, nodeName), call.life);
}

class Taking {
  readonly #ports: RecordJobPorts;
  readonly #job: RecordJob;
  readonly #call: RecordJobCall;
  readonly #abort = new AbortController();
  /** Until when a manifest may be on its way: as long as that is so, no deadline may end it. */
  #publishByMs: number | undefined;
  #progress: SnapshotProgress | undefined;

  constructor(ports: RecordJobPorts, job: RecordJob, call: RecordJobCall) {
    this.#ports = ports;
    this.#job = job;
    this.#call = call;
    this.#publishByMs = job.publishByMs;
  }

  /** How it ended; undefined = that is not this node's to say. */
  async run(tell: (progress: SnapshotProgress) => void): Promise<RecordEnd | undefined> {
    const { clock } = this.#ports;
    const { wanted, life } = this.#call;
    const over = new AbortController();
    const leave = (): void => this.#leave(wanted.reason);
    const stop = (): void => this.#abort.abort(life.reason);
    wanted.addEventListener("abort", leave, { once: true });
    life.addEventListener("abort", stop, { once: true });
    try {
      if (life.aborted) stop();
      if (wanted.aborted) leave();
      const former = await this.#former();
      if (former !== undefined) return former;
      if (wanted.aborted) leave();
      const late = (): void => this.#leave(recordLate(this.#job.timeoutSeconds, this.#progress));
      const leftMs = this.#job.deadlineMs - clock.now();
      if (leftMs <= 0) late();
      else void clock.sleep(leftMs, over.signal).then(late, () => undefined);
      this.#abort.signal.throwIfAborted();
      const note = (progress: SnapshotProgress): void => {
        this.#progress = progress;
        tell(progress);
      };
      return this.#endOf(await this.#take(note));
    } catch (error) {
      return await this.#fault(error);
    } finally {
      wanted.removeEventListener("abort", leave);
      life.removeEventListener("abort", stop);
      over.abort(IS_OVER);
    }
  }

  #leave(reason: unknown): void {
    if (this.#publishByMs === undefined || reason === TAKEN_AWAY) this.#abort.abort(reason);
  }

  /** What a former life of this program achieved; undefined when nothing, then it is begun anew. */
  async #former(): Promise<RecordEnd | undefined> {
    if (this.#publishByMs === undefined) return undefined;
    const found = await this.#lookUntil(this.#publishByMs + ARRIVAL_MS, this.#abort.signal);
    this.#publishByMs = undefined;
    return found === undefined ? undefined : this.#endOf(found);
  }

  async #take(tell: (progress: SnapshotProgress) => void): Promise<Written> {
    const { work, slots, readPod, nodeName } = this.#ports;
    const { signal } = this.#abort;
    const giveBack = await slots.take(1, signal);
    try {
      signal.throwIfAborted();
      const target = recordTarget(await readPod(this.#job, signal), this.#job, nodeName);
      const dump = await work.dump(target, { signal, onProgress: tell });
      try {
        return await this.#store(dump, target, tell);
      } finally {
        await dump.remove();
      }
    } finally {
      giveBack();
    }
  }

  /** What was saved lasts: a store that is away is asked again while there is time. */
  #store(dump: Dump, target: RecordTarget, tell: (progress: SnapshotProgress) => void): Promise<Written> {
    const { work, clock, random, log } = this.#ports;
    return untilStored((onProgress) => this.#write(dump, target, onProgress), {
      clock,
      random,
      log,
      deadlineMs: this.#job.deadlineMs,
      signal: this.#abort.signal,
      faultOf: (error) => ({ code: work.faultCode(error), message: work.failure(error).message }),
      onProgress: tell,
    });
  }

  /** One attempt; when it throws, this record's manifest does not stand and never will by this attempt. */
  async #write(dump: Dump, target: RecordTarget, tell: (progress: SnapshotProgress) => void): Promise<Written> {
    const { work } = this.#ports;
    const { signal } = this.#abort;
    const beforePublish: WriteCall["beforePublish"] = (limited) => this.#allow(limited);
    try {
      return await work.write(dump, this.#job, target, { signal, onProgress: tell, beforePublish });
    } catch (error) {
      if (this.#publishByMs !== undefined && work.faultCode(error) === "unsure") {
        // From here on this attempt sends nothing more.
        const sentByMs = Math.min(this.#publishByMs, this.#ports.clock.now());
        const found = await this.#lookUntil(sentByMs + ARRIVAL_MS, signal);
        if (found !== undefined) return found;
      }
      this.#publishByMs = undefined;
      // Who wanted it to end meanwhile was not heard.
      if (this.#call.wanted.aborted) this.#leave(this.#call.wanted.reason);
      throw error;
    }
  }

  /** The last word of the record before its manifest: from here on nobody else ends it. */
  async #allow(signal: AbortSignal): Promise<{ readonly untilMs: number }> {
    const { writes, nodeName } = this.#ports;
    const untilMs = await writes.allowPublish(
      this.#job,
      PUBLISH_WINDOW_MS,
      (record) => isOpenFor(record, nodeName) && record.metadata.deletionTimestamp === undefined,
      signal,
    );
    if (untilMs === undefined) throw TAKEN_AWAY;
    signal.throwIfAborted();
    this.#publishByMs = untilMs;
    return { untilMs };
  }

  #endOf(written: Written): RecordEnd {
    if (written.kind === "published") return succeededBy(written);
    const message = `A newer snapshot of the name "${this.#job.snapshotName}" was written meanwhile.`;
    return { kind: "failed", reason: "StoreFailed", message };
  }

  async #fault(error: unknown): Promise<RecordEnd | undefined> {
    const { work, log } = this.#ports;
    const { wanted, life } = this.#call;
    life.throwIfAborted();
    if (error === TAKEN_AWAY || wanted.reason === TAKEN_AWAY) return undefined;
    // Nothing that the record could say: it is tried again.
    if (error instanceof KubeError) throw error;
    const { namespace, name } = this.#job;
    log.warn("A snapshot failed", { record: `${namespace}/${name}`, error });
    return { kind: "failed", ...work.failure(error) };
  }

  /** This record's manifest; looks once more at the given moment, and as often as the store gives no answer. */
  async #lookUntil(untilMs: number, signal: AbortSignal): Promise<Written | undefined> {
    const { work, clock, random, log } = this.#ports;
    for (let [round, isLast] = [0, false]; ; round += 1) {
      isLast = clock.now() >= untilMs;
      try {
        const found = await work.find(this.#job, { signal });
        if (found !== undefined || isLast) return found;
        await clock.sleep(untilMs - clock.now(), signal);
      } catch (error) {
        signal.throwIfAborted();
        log.warn("The store does not say whether a snapshot stands", { error });
        await clock.sleep(backoffMs(round, PAUSE, random), signal);
      }
    }
  }
}

const IS_OVER = new Error("The job is over");
