import { ApiError, Atoll, AtollError, NotFoundError, SandboxFailedError, type Sandbox } from "#sdk";

export interface SteadyLoad {
  /** No new round begins; resolves when the running ones have ended. */
  stop(): Promise<LoadReport>;
  /** Sandboxes that run at this moment. */
  running(): readonly Sandbox[];
}

export interface LoadReport {
  readonly created: number;
  readonly removed: number;
  /** Commands whose output and exit code came and were right. */
  readonly right: number;
  /** Commands of which the client was told that nobody knows, by the text it was told. */
  readonly unknown: Readonly<Record<string, number>>;
  /** Everything that must not happen, in a sentence each. */
  readonly wrong: readonly string[];
}

export interface LoadOptions {
  readonly url: string;
  readonly image: string;
  /** Clients that each go through sandboxes one after the other. */
  readonly clients: number;
  readonly commandsPerSandbox: number;
}

/**
 * A client gives a sandbox up only after so long: longer than any outage that the test makes. After each
 * end of the API server the cluster's own programs stay away from it for up to half a minute, and several
 * of these ends follow each other: nodes count as lost meanwhile, and pods wait for a scheduler.
 */
const PATIENCE_SECONDS = 300;
const RETRY_PAUSE_MS = 250;
const COMMAND_TIMEOUT_MS = 60_000;

/**
 * Clients that create a sandbox, run commands whose result they know beforehand, and remove it.
 * Outages may make a client wait or tell it that an outcome is unknown; they may never give it
 * a wrong result, a lost sandbox or one that ended by itself.
 */
export function startSteadyLoad({ url, image, clients, commandsPerSandbox }: LoadOptions): SteadyLoad {
  const api = new Atoll({ url });
  const running = new Map<string, Sandbox>();
  const unknown: Record<string, number> = {};
  const wrong: string[] = [];
  const count = { created: 0, removed: 0, right: 0 };
  let isOver = false;

  async function round(name: string): Promise<void> {
    const key = crypto.randomUUID();
    const wanted = { image, startupTimeoutSeconds: PATIENCE_SECONDS };
    const sandbox = await patiently(() => api.sandboxes.create(wanted, { idempotencyKey: key, maxWaitMs: 60_000 }));
    count.created++;
    running.set(sandbox.id, sandbox);
    try {
      for (let number = 0; number < commandsPerSandbox && !isOver; number++) {
        await command(sandbox, `${name}-${number}`, number % 5);
      }
    } finally {
      running.delete(sandbox.id);
      await patiently(() => sandbox.delete());
      count.removed++;
    }
  }

  async function command(sandbox: Sandbox, word: string, code: number): Promise<void> {
    const script = `echo out-${word}; echo err-${word} >&2; exit ${code}`;
    try {
      const result = await sandbox.commands.run(["sh", "-c", script], {}, { timeoutMs: COMMAND_TIMEOUT_MS });
      const said = `${result.stdout.trim()} ${result.stderr.trim()} ${result.exitCode}`;
      if (said === `out-${word} err-${word} ${code}`) count.right++;
      else wrong.push(`Command ${word} in ${sandbox.id} gave: ${said}`);
    } catch (error) {
      if (!(error instanceof AtollError)) throw error;
      const why = error instanceof ApiError ? `${error.status} ${error.slug ?? ""}` : error.name;
      unknown[why] = (unknown[why] ?? 0) + 1;
      // The platform lives on, so its sandboxes do: one that is gone or has ended was lost.
      if (error instanceof NotFoundError || why.includes("sandbox-ended"))
        wrong.push(`Sandbox ${sandbox.id} was lost: ${error.message}`);
    }
  }

  async function actAsClient(index: number): Promise<void> {
    for (let number = 0; !isOver; number++) {
      await round(`c${index}r${number}`).catch((error: unknown) => {
        wrong.push(`Client ${index}, round ${number}: ${String(error)}`);
      });
    }
  }

  const ended = Promise.all(Array.from({ length: clients }, (_, index) => actAsClient(index)));
  return {
    async stop() {
      isOver = true;
      await ended;
      return { ...count, unknown, wrong };
    },
    running: () => [...running.values()],
  };
}

/** Repeats what an outage may refuse; a sandbox that is said to have failed is no outage. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  const deadlineMs = Date.now() + PATIENCE_SECONDS * 1000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SandboxFailedError || Date.now() > deadlineMs) throw error;
      if (error instanceof ApiError && error.status < 500 && error.status !== 409 && error.status !== 429) throw error;
      await new Promise((done) => setTimeout(done, RETRY_PAUSE_MS));
    }
  }
}
