import type { Installer } from "./installer.ts";
import type { NodeReport } from "./ports.ts";
import { messageOf, RefusedError } from "./refused-error.ts";
import type { Clock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";

export interface KeepOptions {
  readonly installer: Installer;
  readonly report: NodeReport;
  readonly clock: Clock;
  readonly log: Log;
  /** Pause between looks while all is well. */
  readonly checkMs: number;
  /** Told of each outcome; undefined = all is well. */
  readonly onState: (fault: string | undefined) => void;
}

/** First pause after something that may pass by itself, and the longest after any fault. */
const SHORT_MS = 15_000;
const LONGEST_MS = 3_600_000;

/** Installs, and looks again and again whether all is still in place. Ends with the signal's reason. */
export async function keepInstalled(options: KeepOptions, signal: AbortSignal): Promise<never> {
  const { installer, report, clock, log } = options;
  let mustTry = true;
  let faults = 0;
  for (;;) {
    let pauseMs = options.checkMs;
    try {
      const { release, restarted } = await installer.install({ signal, mustTry });
      await report.works(release ?? "of its own", { signal });
      if (mustTry || restarted) log.info("gVisor works on this node", { release, restarted });
      [mustTry, faults] = [false, 0];
      options.onState(undefined);
    } catch (error) {
      signal.throwIfAborted();
      // A refusal may have restarted containerd and put it back: that is not done often.
      pauseMs = Math.min((error instanceof RefusedError ? options.checkMs : SHORT_MS) * 2 ** faults, LONGEST_MS);
      [mustTry, faults] = [true, faults + 1];
      await tellFault(options, error, { pauseMs, signal });
    }
    await clock.sleep(pauseMs, signal);
  }
}

/** Takes gVisor from the node; repeats until it is done. */
export async function uninstallOnce(options: KeepOptions, signal: AbortSignal): Promise<void> {
  for (let pauseMs = SHORT_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_MS)) {
    try {
      // First of all nothing new may come to this node.
      await options.report.removed({ signal });
      await options.installer.uninstall({ signal });
      options.log.info("gVisor is taken from this node");
      return options.onState(undefined);
    } catch (error) {
      signal.throwIfAborted();
      await tellFault(options, error, { pauseMs, signal });
    }
    await options.clock.sleep(pauseMs, signal);
  }
}

async function tellFault(
  { log, report, onState }: KeepOptions,
  error: unknown,
  { pauseMs, signal }: { readonly pauseMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const fault = messageOf(error);
  log.error(fault, { error: error instanceof RefusedError ? error.cause : error, next_look_seconds: pauseMs / 1000 });
  onState(fault);
  await report.fails(fault, { signal }).catch((cause: unknown) => {
    signal.throwIfAborted();
    log.error("cannot tell the cluster of it", { error: cause });
  });
}
