import { createChange } from "#core/change.ts";
import type { Clock } from "#core/clock.ts";
import { toHex } from "#core/hex.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import type { KubeEvent, ObjectReference } from "#core/kubernetes/event.ts";
import { isAlreadyExists, isNotFound } from "#core/kubernetes/kube-error.ts";
import { EVENTS } from "#core/kubernetes/resources.ts";
import type { Log } from "#core/log.ts";
import { microTime } from "#core/kubernetes/control/lease-record.ts";
import type { EventFacts, EventRecorder } from "./ports.ts";
import { createTokenBuckets } from "./token-buckets.ts";

export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly bytes: (count: number) => Uint8Array;
  /** `domain/name` of this program. */
  readonly controller: string;
  /** This process among its replicas. */
  readonly instance: string;
}

/** The same thing happening again so soon continues a series. Source: Kubernetes' own recorder. */
const SERIES_MS = 360_000;
/** A series is written at most so often. */
const SERIES_WRITE_MS = 30_000;
const MOST_SERIES = 4096;
const MOST_WAITING = 1024;
const SENDERS = 2;
const MAX_NOTE_BYTES = 1024;
const PER_OBJECT = { burst: 20, refillMs: 60_000, mostKeys: 4096 };

interface Series {
  readonly event: KubeEvent;
  count: number;
  lastMs: number;
  writtenMs: number;
  isWaiting: boolean;
  isCreated: boolean;
}

/**
 * Events of events.k8s.io: repetitions become a series of one event, each object has a budget, and
 * what cannot be sent is dropped. `run` sends until its signal fires.
 */
export function createEventRecorder(
  options: EventRecorderOptions,
): EventRecorder & { run(signal: AbortSignal): Promise<void> } {
  const { client, clock, log } = options;
  const buckets = createTokenBuckets(PER_OBJECT);
  /** Insertion order is that of the last occurrence. */
  const known = new Map<string, Series>();
  const waiting: Series[] = [];
  const change = createChange();

  const enqueue = (series: Series): void => {
    if (series.isWaiting || waiting.length >= MOST_WAITING) return;
    series.isWaiting = true;
    waiting.push(series);
    change.notify();
  };

  const send = async (series: Series, signal: AbortSignal): Promise<void> => {
    series.isWaiting = false;
    series.writtenMs = clock.now();
    const { namespace = "default", name } = series.event.metadata;
    if (!series.isCreated) {
      // One of its name is this one: the answer to an earlier attempt was lost.
      await client.create(EVENTS, series.event, { signal }).catch(ignoreExisting);
      series.isCreated = true;
    } else {
      const patch = { series: { count: series.count, lastObservedTime: microTime(series.lastMs) } };
      // The API server forgets events after a while: the next repetition makes it anew.
      series.isCreated = await client
        .patch(EVENTS, { namespace, name }, patch, { signal })
        .then(() => true, isStillThere);
    }
  };

  const sender = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      const series = waiting.shift();
      if (series === undefined) await change.wait(signal).catch(() => undefined);
      else await send(series, signal).catch((error: unknown) => log.debug("An event was lost", { error }));
    }
  };

  return {
    record(regarding, facts) {
      const nowMs = clock.now();
      const key = [regarding.uid, facts.type, facts.reason, facts.action, facts.note].join("\n");
      const before = known.get(key);
      known.delete(key);
      const isSeries = before !== undefined && nowMs - before.lastMs < SERIES_MS;
      const series = isSeries ? before : newSeries(eventOf(regarding, facts, nowMs, options), nowMs);
      known.set(key, series);
      if (known.size > MOST_SERIES) known.delete(known.keys().next().value ?? "");
      if (isSeries) {
        series.count += 1;
        series.lastMs = nowMs;
        if (nowMs - series.writtenMs < SERIES_WRITE_MS) return;
      }
      if (buckets.take(regarding.uid ?? "", nowMs)) enqueue(series);
    },
    async run(signal) {
      await Promise.all(Array.from({ length: SENDERS }, () => sender(signal)));
    },
  };
}

function ignoreExisting(error: unknown): void {
  if (!isAlreadyExists(error)) throw error;
}

function isStillThere(error: unknown): boolean {
  if (isNotFound(error)) return false;
  throw error;
}

function newSeries(event: KubeEvent, nowMs: number): Series {
  return { event, count: 1, lastMs: nowMs, writtenMs: nowMs, isWaiting: false, isCreated: false };
}

function eventOf(
  regarding: ObjectReference,
  { type, reason, action, note }: EventFacts,
  nowMs: number,
  { bytes, controller, instance }: EventRecorderOptions,
): KubeEvent {
  const name = `${(regarding.name ?? "object").slice(0, 200)}.${toHex(bytes(8))}`;
  return {
    metadata: { namespace: regarding.namespace ?? "default", name },
    eventTime: microTime(nowMs),
    type,
    reason,
    action,
    note: shorten(note),
    regarding,
    reportingController: controller,
    reportingInstance: instance.slice(0, 128),
  };
}

/** The API server counts bytes. */
function shorten(note: string): string {
  const bytes = new TextEncoder().encode(note);
  if (bytes.length <= MAX_NOTE_BYTES) return note;
  // A character cut in two becomes one that says so.
  return `${new TextDecoder().decode(bytes.subarray(0, MAX_NOTE_BYTES - 8)).replace(/\uFFFD+$/, "")}…`;
}
