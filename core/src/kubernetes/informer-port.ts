import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { ListQuery } from "./client.ts";
import type { KubeObject } from "./object.ts";

/** Called after the cache changed: `now` is absent when the object is gone, `before` when it is new. */
export type ChangeListener<T> = (key: string, now: T | undefined, before: T | undefined) => void;

/**
 * A local copy of all objects of one kind, kept up to date by list and watch. It heals itself: a
 * reader may see an old state for a while, never a wrong one for good. Keys are those of
 * `object-key.ts`; objects are shared, nobody changes them.
 */
export interface Informer<T extends KubeObject> {
  /** Lists, then watches until the signal fires, and resolves then. Call once. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves as soon as the cache has been filled once. */
  synced(signal: AbortSignal): Promise<void>;
  readonly isSynced: boolean;
  get(key: string): T | undefined;
  /** All objects, in no order; walk it at once, as it follows the cache. */
  values(): IterableIterator<T>;
  readonly size: number;
  /** Objects that the index function of this name maps to this value. */
  byIndex(index: string, value: string): readonly T[];
  /** Reports each key whose object changed, own writes included. The result ends the subscription. */
  onChange(listener: ChangeListener<T>): () => void;
  /**
   * Takes over the answer to an own write, so that the next read knows it; ignored when the stream is
   * that far already. The object must be one that this informer's query selects.
   */
  upsert(object: T): void;
  /** Takes over an own removal of which the API server said that the object is gone. */
  drop(key: string, uid: string): void;
  /** When the API server last said anything on this kind: list, event or bookmark; on the injected clock. */
  readonly lastProgressMs: number;
}

export interface InformerOptions<T extends KubeObject> {
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly query?: Pick<ListQuery, "namespace" | "labelSelector" | "fieldSelector">;
  /** Drops what nobody reads, to save memory; called once for each object received. */
  readonly trim?: (object: T) => T;
  /** Values under which an object can be found, by name of the index. */
  readonly indexes?: Readonly<Record<string, (object: T) => readonly string[]>>;
  /** Objects of one page of a list. @default 500 */
  readonly pageSize?: number;
  /** A watch that says nothing for so long is renewed. The API server sends a bookmark about once a minute. @default 90_000 */
  readonly stallMs?: number;
  /** The API server is asked to end a watch after one to two times this, so that load spreads. @default 300 */
  readonly watchSeconds?: number;
  readonly observer?: InformerObserver;
}

/** Where an informer's numbers go. */
export interface InformerObserver {
  listed(objects: number, durationMs: number): void;
  /** `reason` is of a closed set: `ended`, `cut`, `stalled`, `expired`, `refused`. */
  reconnected(reason: ReconnectReason): void;
}

export type ReconnectReason = "ended" | "cut" | "stalled" | "expired" | "refused";
