import type { Clock } from "#core/clock.ts";
import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { createLog } from "#core/log.ts";
import { createApp } from "#runtime/app.ts";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import { createMemoryBackend } from "#runtime/backend/memory/create-memory-backend.ts";
import { DEFAULT_GATEWAY_CONFIG, type GatewayConfig } from "#runtime/gateway-config.ts";

export interface FixtureOptions {
  readonly backend?: SandboxBackend;
  readonly clock?: Clock;
  readonly config?: Partial<GatewayConfig>;
}

/** An app in this process, what it logs, and requests to it as from this machine. */
export function gatewayFixture({
  backend = createMemoryBackend(),
  clock = systemClock,
  config = {},
}: FixtureOptions = {}) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog("debug", (line) => lines.push(JSON.parse(line) as Record<string, unknown>), clock.now);
  const version = { gitVersion: "v0.0.0", goVersion: "test", platform: "test" };
  const app = createApp({
    backend,
    clock,
    ids: cryptoIds,
    log,
    config: { ...DEFAULT_GATEWAY_CONFIG, ...config },
    version,
  });
  const send = async (path: string, { headers, ...init }: RequestInit = {}): Promise<Response> =>
    app.request(path, { ...init, headers: { Host: "localhost", ...(headers as Record<string, string>) } });
  return {
    app,
    lines,
    send,
    sendJson: (path: string, body: unknown, init: RequestInit = {}): Promise<Response> =>
      send(path, {
        method: "POST",
        body: JSON.stringify(body),
        ...init,
        headers: { "Content-Type": "application/json", ...(init.headers as Record<string, string>) },
      }),
  };
}

/** A clock that stands still until the test moves it. */
export interface ManualClock extends Clock {
  advance(ms: number): Promise<void>;
  /** Moves second by second until the work is done. */
  advanceUntil<T>(work: Promise<T>): Promise<T>;
}

export function manualClock(): ManualClock {
  let nowMs = 1_000_000;
  let sleepers: { atMs: number; wake: () => void }[] = [];
  const clock: ManualClock = {
    now: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const sleeper = { atMs: nowMs + ms, wake: resolve };
        sleepers.push(sleeper);
        signal?.addEventListener("abort", () => {
          sleepers = sleepers.filter((other) => other !== sleeper);
          reject(signal.reason);
        });
      }),
    async advance(ms) {
      nowMs += ms;
      const due = sleepers.filter(({ atMs }) => atMs <= nowMs);
      sleepers = sleepers.filter(({ atMs }) => atMs > nowMs);
      for (const { wake } of due) wake();
      await new Promise((resolve) => setImmediate(resolve));
    },
    async advanceUntil(work) {
      let done = false;
      const finish = (): void => {
        done = true;
      };
      work.then(finish, finish);
      while (!done) await clock.advance(1000);
      return work;
    },
  };
  return clock;
}
