import { backoffMs } from "#core/backoff.ts";
import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import type { Ids } from "#core/ids.ts";
import type { Log } from "#core/log.ts";
import type { SandboxBackend } from "../../backend/port.ts";

const PAUSE = { firstMs: 500, mostMs: 30_000 };
/** An outage of the backend that lasts longer leaves the sandbox to its own deadlines. */
const MOST_MS = 600_000;
const MOST_AT_ONCE = 1000;

/** Removes sandboxes whose creators have no answer, and so can never ask for it. */
export interface Discards {
  /** Goes on in the background until the backend has taken the removal, for a bounded time. */
  begin(id: string, log: Log): void;
  readonly open: number;
}

export interface DiscardsDeps {
  readonly backend: Pick<SandboxBackend, "remove">;
  readonly clock: Clock;
  readonly ids: Pick<Ids, "bytes">;
}

export function createDiscards({ backend, clock, ids }: DiscardsDeps): Discards {
  const random = (): number => (ids.bytes(1)[0] ?? 0) / 256;
  const { signal } = new AbortController();
  let open = 0;

  const discard = async (id: string, log: Log): Promise<void> => {
    const late = (): Error => new Error(`The backend did not take the removal within ${MOST_MS} ms`);
    let last: unknown;
    try {
      await withDeadline({ clock, timeoutMs: MOST_MS, signal, late }, async (bounded) => {
        for (let attempt = 0; ; attempt += 1) {
          try {
            return await backend.remove(id, { log, signal: bounded });
          } catch (error) {
            last = error;
          }
          await clock.sleep(backoffMs(attempt, PAUSE, random), bounded);
        }
      });
      log.info("Sandbox removed: its creator has no answer", { sandbox_id: id });
    } catch (error) {
      log.error("A sandbox whose creator has no answer may be left", { sandbox_id: id, error: last ?? error });
    }
  };

  return {
    get open() {
      return open;
    },
    begin(id, log) {
      if (open >= MOST_AT_ONCE) {
        log.error("A sandbox whose creator has no answer may be left: too many wait for removal", { sandbox_id: id });
        return;
      }
      open += 1;
      void discard(id, log).then(() => (open -= 1));
    },
  };
}
