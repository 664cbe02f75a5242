import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { LoggedProcess } from "./logged-process.ts";

export interface ReadyWait {
  /** Who is waited for, as a message begins. */
  readonly who: string;
  readonly timeoutMs: number;
  /** Who should answer: when it has ended, nobody waits any longer. Its log is in the message. */
  readonly process?: Pick<LoggedProcess, "ending" | "log">;
}

const ANSWER_MS = 5000;
const PAUSE_MS = 20;
const MOST_LOG_CHARACTERS = 8000;

/** Asks a URL again and again until the answer is a success. Who it is that answers shows later, not here. */
export async function untilReady(url: string, { who, timeoutMs, process }: ReadyWait): Promise<void> {
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const ending = process?.ending();
    const { isReady, said } = await ask(url).catch((error: Error) => ({ isReady: false, said: error.message }));
    if (isReady) return;
    if (ending !== undefined || Date.now() > deadlineMs) {
      const fault = ending === undefined ? `was not ready within ${timeoutMs} ms` : `ended at start (${ending})`;
      const log = process?.log().slice(-MOST_LOG_CHARACTERS) ?? "";
      throw new Error(`${who} ${fault}; the last answer of ${url} was: ${said}\n${log}`);
    }
    await sleep(PAUSE_MS);
  }
}

function ask(url: string): Promise<{ isReady: boolean; said: string }> {
  const get: typeof https.get = url.startsWith("https:") ? https.get : http.get;
  const options = { agent: false, rejectUnauthorized: false, signal: AbortSignal.timeout(ANSWER_MS) } as const;
  return new Promise((resolve, reject) => {
    const asking = get(url, options, (answer) => {
      const { statusCode = 0 } = answer;
      text(answer).then(
        (body) => resolve({ isReady: statusCode >= 200 && statusCode < 300, said: `${statusCode} ${body.trim()}` }),
        reject,
      );
    });
    asking.on("error", reject);
  });
}
