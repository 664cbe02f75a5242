import process from "node:process";
import type { ComposedGateway } from "./compose.ts";

/** Longest wait for open requests after a signal. Source: the released gateway's graceful shutdown. */
const GRACE_MS = 25_000;

export interface Server {
  /** Takes no new connections; resolves when the open requests are done. */
  drain(): Promise<void>;
  /** Cuts what is open. */
  cut(): void;
}

/** Serves until SIGTERM or SIGINT, then ends gracefully; a second signal cuts at once. */
export async function runUntilSignal({ log, close }: ComposedGateway, server: Server): Promise<void> {
  const signals = signalSequence();
  log.info("gateway stopping", { signal: await signals.next() });
  const late = new Promise<void>((resolve) => setTimeout(resolve, GRACE_MS).unref());
  const drained = await Promise.race([server.drain().then(() => true), late, signals.next()]);
  if (drained !== true) server.cut();
  await close();
  log.info("gateway stopped");
}

/** A fault at the start is one sentence with its cause, without a trace. */
export function failStart(error: unknown): never {
  process.stderr.write(`atoll-gateway: ${sentenceOf(error)}\n`);
  process.exit(1);
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error.cause instanceof Error)) return error.message;
  const [cause = ""] = error.cause.message.split("\n");
  return `${error.message.replace(/\.$/, "")}: ${cause}`;
}

function signalSequence(): { next(): Promise<string> } {
  return {
    next: () =>
      new Promise((resolve) => {
        for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve(signal));
      }),
  };
}
