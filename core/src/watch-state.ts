import type { Change } from "./change.ts";

/** Something whose state can be looked at, until it is gone. */
export interface Watched<T> {
  readonly change: Change;
  readonly gone: boolean;
  view(): T;
}

/** The present state first, then the latest after each change, until it is gone or the signal aborts. What `find` throws is thrown at the first step. */
export async function* watchState<T>(find: () => Watched<T>, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
  const watched = find();
  const turn = new AbortController();
  const until = AbortSignal.any([signal, turn.signal]);
  try {
    while (!watched.gone && !signal.aborted) {
      const changed = watched.change.wait(until).then(
        () => true,
        () => false,
      );
      yield watched.view();
      if (!(await changed)) return;
    }
  } finally {
    turn.abort();
  }
}
