import type { Clock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";
import type { Mounter } from "../mounter.ts";

export interface CollectDeps {
  readonly mounter: Pick<Mounter, "collect">;
  readonly clock: Clock;
  readonly log: Log;
  readonly namespace: string;
  /** Keys of layers that are kept although no snapshot names them any more. */
  readonly inUse: () => readonly string[];
  readonly signal: AbortSignal;
}

/** Rarer than it looks worth: what no snapshot names is kept for an hour anyway. */
const PAUSE_MS = 20 * 60_000;

/** Removes from the store now and then what no snapshot names, until the signal fires. */
export function collectPeriodically(deps: CollectDeps): void {
  run(deps).catch(() => undefined);
}

async function run({ mounter, clock, log, namespace, inUse, signal }: CollectDeps): Promise<void> {
  for (;;) {
    await clock.sleep(PAUSE_MS, signal);
    try {
      const { unreadable, ...done } = await mounter.collect({ namespace, inUse: [...inUse()] }, { signal, log });
      if (done.removedLayers + done.abortedUploads > 0) log.info("Unused layers of snapshots removed", { ...done });
      for (const each of unreadable)
        log.warn("A manifest does not tell what it names: layers older than it stay until it is mended or removed", {
          ...each,
        });
    } catch (error) {
      signal.throwIfAborted();
      log.warn("The store of snapshots was not tidied", { error });
    }
  }
}
