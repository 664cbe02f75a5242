import { createChange } from "#core/change.ts";
import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import type { KubeCall, KubeClient } from "#core/kubernetes/client.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { isAlreadyExists, isConflict, isNotFound } from "#core/kubernetes/kube-error.ts";
import type { Lease } from "#core/kubernetes/lease.ts";
import { LEASES } from "#core/kubernetes/resources.ts";
import type { Log } from "#core/log.ts";
import { isFree, leaseHeldBy, leaseReleasedBy } from "./lease-record.ts";

/**
 * One leader among replicas, by a Lease. The leader's right to act ends by its own clocks before
 * anybody else may take the lease: it counts from before each renewal was sent, the others count
 * from after they saw it, and the leader's time is shorter by a margin.
 */
export interface Leadership {
  /** Whether this process may act at this very moment; cheap enough to ask before each write. */
  readonly isHeld: boolean;
  /**
   * Until the signal fires: waits for the lease and calls `lead` for each term. The term's signal
   * fires when the lease is lost or the program ends; at the end of the program the lease is kept
   * until `lead` has returned, and given up then. Rejects with what `lead` throws.
   */
  run(signal: AbortSignal, lead: (term: AbortSignal) => Promise<void>): Promise<void>;
}

export interface LeadershipOptions {
  /** The lease's own client: not one that writes only while the lease is held. */
  readonly client: KubeClient;
  /** Monotonic: it goes on while the process stands still. */
  readonly clock: Clock;
  /** Unix milliseconds; goes on while the whole machine stands still. */
  readonly wallNow: () => number;
  readonly random: () => number;
  readonly log: Log;
  readonly namespace: string;
  readonly name: string;
  /** Of this process alone, not of its predecessor of the same name. */
  readonly holder: string;
  readonly leaseSeconds?: number;
}

/** Short, so that a killed leader is followed within 5 s; renewed four times within it. */
const LEASE_SECONDS = 4;
/** What clocks may drift apart, and what a stopped process may need to notice, in parts of the lease. */
const MARGIN = 0.25;
const RENEW = 0.25;
const RETRY_MS = 200;

const LOST = new Error("The lease was lost");
const late = (): Error => new Error("The API server took too long over the lease");

export function createLeadership(options: LeadershipOptions): Leadership {
  const { client, clock, wallNow, random, log, namespace, name, holder } = options;
  const leaseMs = (options.leaseSeconds ?? LEASE_SECONDS) * 1000;
  const rightMs = leaseMs * (1 - MARGIN);
  const renewMs = leaseMs * RENEW;
  /** Leaves time for a second attempt. */
  const callMs = (rightMs * 2) / 3;
  let held: Held | undefined;

  /** The longer of what both clocks say: the one that stood still does not prolong a right. */
  const leftMs = ({ sinceMs, wallSinceMs }: Held): number =>
    rightMs - Math.max(clock.now() - sinceMs, wallNow() - wallSinceMs);
  const isHeld = (): boolean => held !== undefined && leftMs(held) > 0;

  /** Writes the lease as ours over exactly the version read; undefined = somebody was faster. */
  const claim = async (
    before: Lease | undefined,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Held | undefined> => {
    const moment = { sinceMs: clock.now(), wallSinceMs: wallNow() };
    const lease = leaseHeldBy(holder, before, { namespace, name, leaseMs, nowMs: moment.wallSinceMs });
    try {
      const written = await bounded(signal, timeoutMs, (call) =>
        before === undefined ? client.create(LEASES, lease, call) : client.replace(LEASES, lease, call),
      );
      return { lease: written, ...moment };
    } catch (error) {
      if (isConflict(error) || isAlreadyExists(error) || isNotFound(error)) return undefined;
      throw error;
    }
  };

  const bounded = <T>(signal: AbortSignal, timeoutMs: number, work: (call: KubeCall) => Promise<T>): Promise<T> =>
    withDeadline({ clock, timeoutMs, signal, late }, (limited) => work({ signal: limited }));

  /** Waits until the lease is free or its holder let it run out, and takes it. */
  const acquire = async (signal: AbortSignal): Promise<Held> => {
    const done = new AbortController();
    const stop = (): void => done.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    const change = createChange();
    const query = { namespace, fieldSelector: `metadata.name=${name}` };
    const informer = createInformer(client, LEASES, { clock, random, log, query, stallMs: 2 * leaseMs });
    let seen: Lease | undefined;
    let seenMs = clock.now();
    /** Somebody removed the lease: its holder may not know yet. */
    let isWithdrawn = false;
    const see = (lease: Lease | undefined): void => {
      isWithdrawn = lease === undefined;
      seen = lease;
      seenMs = clock.now();
    };
    informer.onChange((_key, now) => {
      see(now);
      change.notify();
    });
    const running = informer.run(done.signal);
    try {
      await informer.synced(signal);
      for (;;) {
        signal.throwIfAborted();
        const isWaitedFor = isWithdrawn || !isFree(seen, holder);
        const waitMs = isWaitedFor ? seenMs + leaseMsOf(seen, leaseMs) - clock.now() : 0;
        if (waitMs > 0) {
          await changeOrTime(change.wait, waitMs, signal);
          continue;
        }
        const claimed = await claim(seen, callMs, signal).catch((error: unknown) => {
          signal.throwIfAborted();
          log.warn("The lease cannot be taken now", { error });
        });
        if (claimed !== undefined) return claimed;
        // Somebody was faster, or no answer came. The stream should tell; it may be late or broken.
        const current = await read(signal);
        if (current !== undefined && current.metadata.resourceVersion !== seen?.metadata.resourceVersion) see(current);
        await changeOrTime(change.wait, RETRY_MS * (1 + random()), signal);
      }
    } finally {
      signal.removeEventListener("abort", stop);
      done.abort(LOST);
      await running;
    }
  };

  /** The lease as it is now; undefined = there is none, or no answer. */
  const read = (signal: AbortSignal): Promise<Lease | undefined> =>
    bounded(signal, callMs, (call) => client.get(LEASES, { namespace, name }, call)).catch(() => {
      signal.throwIfAborted();
      return undefined;
    });

  const changeOrTime = async (
    wait: (signal: AbortSignal) => Promise<void>,
    ms: number,
    signal: AbortSignal,
  ): Promise<void> => {
    const either = new AbortController();
    const stop = (): void => either.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    await Promise.race([wait(either.signal), clock.sleep(ms, either.signal)]).catch(() => undefined);
    signal.removeEventListener("abort", stop);
    either.abort(LOST);
  };

  /** Renews until `signal` fires or the lease is lost; resolves in both cases. */
  const renew = async (signal: AbortSignal): Promise<void> => {
    let pauseMs = renewMs;
    while (!signal.aborted && held !== undefined) {
      await clock.sleep(Math.min(pauseMs, Math.max(0, leftMs(held))), signal).catch(() => undefined);
      if (signal.aborted || leftMs(held) <= 0) return;
      try {
        // Whatever the call does, the right ends in time.
        const timeoutMs = Math.min(callMs, leftMs(held));
        held = (await claim(held.lease, timeoutMs, signal)) ?? (await reclaim(held, timeoutMs, signal));
        pauseMs = renewMs;
      } catch (error) {
        if (signal.aborted) return;
        pauseMs = RETRY_MS;
        log.warn("The lease could not be renewed", { error });
      }
    }
  };

  /** Our version was not the newest: an answer got lost, or somebody else has written. */
  const reclaim = async (before: Held, timeoutMs: number, signal: AbortSignal): Promise<Held | undefined> => {
    const lease = await bounded(signal, timeoutMs, (call) => client.get(LEASES, { namespace, name }, call));
    if (lease.spec?.holderIdentity !== holder) return undefined;
    return { ...before, lease };
  };

  const release = async (): Promise<void> => {
    const last = held;
    held = undefined;
    if (last === undefined) return;
    const never = new AbortController().signal;
    const give = (lease: Lease): Promise<Lease> =>
      bounded(never, callMs, (call) => client.replace(LEASES, leaseReleasedBy(lease, wallNow()), call));
    try {
      await give(last.lease).catch(async (error: unknown) => {
        if (!isConflict(error)) throw error;
        // A renewal that was cut may have been kept: then the newest version is another, and ours all the same.
        const lease = await bounded(never, callMs, (call) => client.get(LEASES, { namespace, name }, call));
        if (lease.spec?.holderIdentity === holder) await give(lease);
      });
    } catch (error) {
      // Best effort: without it the others wait until the lease runs out.
      log.info("The lease could not be given up", { error });
    }
  };

  const term = async (signal: AbortSignal, lead: (term: AbortSignal) => Promise<void>): Promise<void> => {
    const abort = new AbortController();
    const stop = (): void => abort.abort(signal.reason);
    const renewing = new AbortController();
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    log.info("Leads", { holder });
    const renewed = renew(renewing.signal).then(() => abort.abort(LOST));
    try {
      await lead(abort.signal);
    } finally {
      signal.removeEventListener("abort", stop);
      renewing.abort(LOST);
      await renewed;
      if (isHeld()) await release();
      held = undefined;
      log.info("Leads no more", { holder });
    }
  };

  return {
    get isHeld() {
      return isHeld();
    },
    async run(signal, lead) {
      while (!signal.aborted) {
        held = await acquire(signal).catch((error: unknown) => {
          if (!signal.aborted) throw error;
          return undefined;
        });
        if (held !== undefined) await term(signal, lead);
      }
    },
  };
}

/** A lease that is ours, and when the request was sent that made it so. */
interface Held {
  readonly lease: Lease;
  readonly sinceMs: number;
  readonly wallSinceMs: number;
}

/** What the holder promised to others, which may be of another version of this program. */
function leaseMsOf(lease: Lease | undefined, ownMs: number): number {
  return Math.max(ownMs, (lease?.spec?.leaseDurationSeconds ?? 0) * 1000);
}
