import { backoffMs } from "../backoff.ts";
import { createChange } from "../change.ts";
import type { KubeClient, Resource, WatchEvent } from "./client.ts";
import { createInformerCache } from "./informer-cache.ts";
import type { ChangeListener, Informer, InformerOptions, ReconnectReason } from "./informer-port.ts";
import { KubeError, isGone } from "./kube-error.ts";
import { listAll } from "./list-all.ts";
import type { KubeObject } from "./object.ts";

const PAUSE = { firstMs: 100, mostMs: 5000 };
/** Many programs lose their versions at the same moment: they list again within this time, not at once. */
const RELIST_SPREAD_MS = 1000;
/** A watch that ends sooner, without a word, counts as a failure. */
const SHORT_WATCH_MS = 1000;
/** One break is ordinary: histories expire, API servers restart. It is told when so many attempts brought nothing. */
const FAILURES_TOLD = 3;

/** Aborts a watch that says nothing. */
const STALLED = new Error("The watch says nothing");

/** A self-healing copy of all objects of a kind. */
export function createInformer<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  options: InformerOptions<T>,
): Informer<T> {
  const { clock, random, observer, query = {}, trim, stallMs = 90_000, watchSeconds = 300 } = options;
  const log = options.log.child({ resource: resource.plural });
  const listeners = new Set<ChangeListener<T>>();
  const change = createChange();
  let isSynced = false;
  let lastProgressMs = clock.now();
  /** Attempts in a row that failed. */
  let failures = 0;
  /** Watches in a row that said nothing for long, as those of kinds that seldom change do. */
  let silences = 0;
  /** The list under way answers a lost version: only what follows it shows that all is well again. */
  let isVersionLost = false;

  const notify: ChangeListener<T> = (key, now, before) => {
    for (const listener of listeners) {
      try {
        listener(key, now, before);
      } catch (error) {
        log.error("A listener failed on a change", { key, error });
      }
    }
  };
  const cache = createInformerCache(notify, options.indexes);

  const progress = (): void => {
    lastProgressMs = clock.now();
    silences = 0;
    if (isVersionLost) return;
    if (failures >= FAILURES_TOLD) log.info("The stream of changes goes on", { failures });
    failures = 0;
  };

  const relist = async (signal: AbortSignal): Promise<void> => {
    const startMs = clock.now();
    cache.beginList();
    const pageSize = options.pageSize ?? 500;
    // Without a version: the newest state. Version "0" would be cheaper on API servers before 1.31, but
    // may answer from before the state last seen, and a cache that goes back in time undoes decisions.
    const list = await listAll(
      client,
      resource,
      { signal },
      { query, pageSize, ...(trim === undefined ? {} : { trim }) },
    );
    cache.replace(list);
    progress();
    observer?.listed(list.items.length, clock.now() - startMs);
    if (!isSynced) {
      isSynced = true;
      change.notify();
    }
  };

  const take = (event: WatchEvent<T>): void => {
    if (event.kind === "bookmark" || trim === undefined) cache.handle(event);
    else cache.handle({ kind: event.kind, object: trim(event.object) });
    isVersionLost = false;
    progress();
  };

  /** Resolves when the watch ended as watches do. */
  const watch = async (resourceVersion: string, signal: AbortSignal): Promise<void> => {
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const startMs = clock.now();
    lastProgressMs = startMs;
    const dog = watchDog(abort);
    const timeoutSeconds = Math.round(watchSeconds * (1 + random()));
    let events = 0;
    try {
      for await (const event of client.watch(resource, { ...query, resourceVersion, timeoutSeconds }, abort)) {
        events += 1;
        take(event);
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      abort.abort(STALLED);
      await dog;
    }
    if (events === 0 && clock.now() - startMs < SHORT_WATCH_MS) {
      throw new KubeError(0, "The watch ended at once", { reason: "NoAnswer" });
    }
  };

  const watchDog = async (abort: AbortController): Promise<void> => {
    for (;;) {
      // The machine's clock may be set back: nothing was said later than now.
      lastProgressMs = Math.min(lastProgressMs, clock.now());
      const leftMs = lastProgressMs + stallMs - clock.now();
      if (leftMs <= 0) return abort.abort(STALLED);
      try {
        await clock.sleep(leftMs, abort.signal);
      } catch {
        return;
      }
    }
  };

  /** What to do about an end that is none, and how long to wait before the next attempt. */
  const heal = (error: unknown): number => {
    const reason = reasonOf(error);
    observer?.reconnected(reason);
    if (error === STALLED) return renew();
    failures += 1;
    isVersionLost = mustList(error);
    if (isVersionLost) cache.expire();
    const fields = { reason, failures, error };
    if (failures === FAILURES_TOLD) log.warn("The stream of changes stays broken", fields);
    else log.debug("The stream of changes broke", fields);
    const spreadMs = reason === "expired" ? random() * RELIST_SPREAD_MS : 0;
    const wishMs = error instanceof KubeError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
    return Math.max(wishMs, spreadMs, backoffMs(failures - 1, PAUSE, random));
  };

  /** Silence alone is no fault: another watch, and when that is silent too, a list tells whether anything was missed. */
  const renew = (): number => {
    silences += 1;
    isVersionLost = false;
    if (silences > 1) cache.expire();
    log.debug("The stream of changes was silent", { silences });
    return backoffMs(0, PAUSE, random);
  };

  return {
    async run(signal) {
      while (!signal.aborted) {
        let pauseMs = 0;
        try {
          if (cache.version === undefined) await relist(signal);
          await watch(cache.version ?? "", signal);
          isVersionLost = false;
          progress();
          observer?.reconnected("ended");
        } catch (error) {
          if (signal.aborted) return;
          pauseMs = heal(error);
        }
        await clock.sleep(pauseMs, signal).catch(() => undefined);
      }
    },
    async synced(signal) {
      while (!isSynced) await change.wait(signal);
    },
    get isSynced() {
      return isSynced;
    },
    get: (key) => cache.get(key),
    values: () => cache.values(),
    get size() {
      return cache.size;
    },
    byIndex: (index, value) => cache.byIndex(index, value),
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    upsert: (object) => cache.upsert(trim === undefined ? object : trim(object)),
    drop: (key, uid) => cache.drop(key, uid),
    get lastProgressMs() {
      return lastProgressMs;
    },
  };
}

function reasonOf(error: unknown): ReconnectReason {
  if (error === STALLED) return "stalled";
  if (isGone(error)) return "expired";
  return error instanceof KubeError && error.status > 0 ? "refused" : "cut";
}

/**
 * Whether watching on from the last version is hopeless: it expired, is not one of this server's
 * (its store was restored from a copy), or the kind itself was away.
 */
function mustList(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  if (error.causes.some(({ reason }) => reason === "ResourceVersionTooLarge")) return true;
  return error.status === 410 || error.status === 400 || error.status === 404;
}
