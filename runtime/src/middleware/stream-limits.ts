import { ProblemError } from "#core/problem-error.ts";
import type { MeteredRequest } from "../metrics/request-meter.ts";

/** Counts streams; a place is given back by calling what `acquire` answered, once or more. */
export interface StreamLimits {
  /** `too-many-requests` when there is no place. */
  acquire(request: Pick<MeteredRequest, "hold">, sandboxId: string): () => void;
  readonly open: number;
}

export function createStreamLimits(limits: {
  readonly maxStreams: number;
  readonly maxStreamsPerSandbox: number;
}): StreamLimits {
  const bySandbox = new Map<string, number>();
  let open = 0;
  return {
    get open() {
      return open;
    },
    acquire(request, sandboxId) {
      const own = bySandbox.get(sandboxId) ?? 0;
      if (own >= limits.maxStreamsPerSandbox) throw full(`The sandbox "${sandboxId}" has ${own} streams open already.`);
      if (open >= limits.maxStreams) throw full(`The gateway has ${open} streams open already.`);
      open += 1;
      bySandbox.set(sandboxId, own + 1);
      const end = request.hold();
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        open -= 1;
        end();
        const left = (bySandbox.get(sandboxId) ?? 1) - 1;
        if (left === 0) bySandbox.delete(sandboxId);
        else bySandbox.set(sandboxId, left);
      };
    },
  };
}

function full(detail: string): ProblemError {
  return new ProblemError("too-many-requests", detail, { retryAfterSeconds: 1 });
}
