import type { ClientRequest, IncomingMessage } from "node:http";

/** Bytes read ahead of whoever reads the stream: enough to keep the socket busy meanwhile. */
const READ_AHEAD_BYTES = 256 * 1024;

/**
 * What comes in as a web stream. Chunks are handed on as they are: the platform's own conversion
 * copies each of them. Ends cleanly only when the message did.
 */
export function streamOf(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  let isOver = false;
  const finish = (act: () => void): void => {
    if (isOver) return;
    isOver = true;
    act();
  };
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      start(controller) {
        incoming.on("data", (chunk: Buffer<ArrayBuffer>) => {
          if (isOver) return;
          controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
          if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
        });
        incoming.once("end", () => finish(() => controller.close()));
        incoming.once("error", (error) => finish(() => controller.error(error)));
        incoming.once("close", () =>
          finish(() => controller.error(new Error("The connection to the agent ended in the middle of a body"))),
        );
        incoming.pause();
      },
      pull() {
        incoming.resume();
      },
      cancel() {
        finish(() => incoming.destroy());
      },
    },
    { highWaterMark: READ_AHEAD_BYTES, size: (chunk?: Uint8Array) => chunk?.byteLength ?? 0 },
  );
}

/**
 * Sends a web stream as the request's body, no faster than the connection takes it. A body that
 * breaks breaks the request too, so that nothing half is taken for whole.
 */
export async function sendBody(body: ReadableStream<Uint8Array>, outgoing: ClientRequest): Promise<void> {
  const reader = body.getReader();
  let wake = (): void => undefined;
  const onDrain = (): void => wake();
  outgoing.on("drain", onDrain);
  outgoing.once("close", () => {
    wake();
    reader.cancel(new Error("The connection to the agent is closed")).catch(() => undefined);
  });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (outgoing.destroyed) return;
      if (done) break;
      if (!outgoing.write(value)) await new Promise<void>((resolve) => (wake = resolve));
    }
    outgoing.end();
  } catch (error) {
    outgoing.destroy(error instanceof Error ? error : new Error("The body broke", { cause: error }));
    throw error;
  }
}
