import type { Clock } from "#core/clock.ts";
import type { Call } from "../../backend/port.ts";

export interface SettledOptions<T> {
  /** The first state. */
  readonly first: T;
  readonly isSettled: (state: T) => boolean;
  readonly watch: (call: Call) => AsyncIterable<T>;
  readonly untilMs: number;
  readonly clock: Clock;
  readonly call: Call;
}

/** The first settled state, or the last one seen when time is over or the watch ends before. */
export async function settled<T>(options: SettledOptions<T>): Promise<T> {
  const { isSettled, watch, untilMs, clock, call } = options;
  let present = options.first;
  if (isSettled(present)) return present;
  const turn = new AbortController();
  const timer = new AbortController();
  const signal = AbortSignal.any([call.signal, turn.signal]);
  clock.sleep(untilMs - clock.now(), timer.signal).then(
    () => turn.abort(),
    () => undefined,
  );
  try {
    for await (const state of watch({ ...call, signal })) {
      present = state;
      if (isSettled(present)) break;
    }
  } finally {
    timer.abort();
  }
  return present;
}
