import type { StoreDriver, Write } from "./driver.ts";
import type { WrittenObject } from "./port.ts";
import { withRetries, type Attempt, type RetryPorts } from "./retry.ts";
import { isStoreError, StoreError } from "./store-error.ts";

/**
 * Repeats a write until its outcome is known. When an answer was lost, the repetition may find the
 * condition broken by the first attempt itself: the mark on the object tells.
 */
export function settleWrite(
  driver: StoreDriver,
  ports: RetryPorts,
  { write, attempt }: { readonly write: Write; readonly attempt: Attempt },
  work: (signal: AbortSignal) => Promise<WrittenObject>,
): Promise<WrittenObject> {
  return withRetries(ports, attempt, async (signal, number) => {
    try {
      return await work(signal);
    } catch (error) {
      const mayBeOwn = number > 0 && (isStoreError(error, "changed") || isStoreError(error, "absent"));
      const own = mayBeOwn ? await findOwn(driver, write, signal) : undefined;
      if (own !== undefined) return own;
      throw isStoreError(error, "absent") && write.condition.kind === "unchanged" ? gone(attempt.what) : error;
    }
  });
}

/** To be unchanged and not to be there is one thing in every store. */
function gone(what: string): StoreError {
  return new StoreError("changed", `${what}: the object to be replaced is no longer there; read it anew.`);
}

async function findOwn(driver: StoreDriver, write: Write, signal: AbortSignal): Promise<WrittenObject | undefined> {
  try {
    const { object, mark } = await driver.stat(write.key, signal);
    return mark === write.mark ? object : undefined;
  } catch (error) {
    if (isStoreError(error, "absent")) return undefined;
    throw error;
  }
}
