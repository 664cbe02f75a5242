import type { ClientRequest, IncomingMessage } from "node:http";

/**
 * Ends a request when the signal fires, until its answer has ended. Not by the platform's own
 * means: on Deno these break a connection that is just done with its answer by an error, which
 * nobody hears and so ends the process. Without an error it is only closed.
 */
export function abortRequest(outgoing: ClientRequest, signal: AbortSignal): void {
  const onAbort = (): void => void outgoing.destroy();
  const release = (): void => signal.removeEventListener("abort", onAbort);
  let hasAnswer = false;
  outgoing.once("response", (incoming: IncomingMessage) => {
    hasAnswer = true;
    incoming.once("end", release);
    incoming.once("close", release);
  });
  outgoing.once("close", () => {
    if (!hasAnswer) release();
  });
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
}
