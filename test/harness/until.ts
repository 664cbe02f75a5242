import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 50;

/** Asks again until the answer pleases: for what goes on in its own time. Gives that answer. */
export async function until<T>(
  ask: () => Promise<T>,
  pleases: (answer: T) => boolean,
  { timeoutMs = 15_000 }: { readonly timeoutMs?: number } = {},
): Promise<T> {
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (pleases(answer)) return answer;
    if (Date.now() > deadlineMs)
      throw new Error(`Not as it should be after ${timeoutMs} ms, last answer: ${JSON.stringify(answer)}`);
    await sleep(PAUSE_MS);
  }
}
