import { ProblemError } from "#core/problem-error.ts";

/** Hands out at most `most` places; `too-many-requests` beyond. The function given back frees the place once. */
export function createGate(most: number): () => () => void {
  let taken = 0;
  return () => {
    if (taken >= most) throw new ProblemError("too-many-requests", `The agent serves ${most} streams at once, and all are in use.`);
    taken += 1;
    let held = true;
    return () => {
      if (held) taken -= 1;
      held = false;
    };
  };
}

/** A body that frees its place when it ends, fails or is given up. */
export function guardBody(body: ReadableStream<Uint8Array<ArrayBuffer>>, free: () => void): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          free();
          controller.close();
        } catch (error) {
          free();
          throw error;
        }
      },
      async cancel(reason) {
        free();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
