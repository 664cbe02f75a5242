import { connect } from "node:net";

/** The sandbox's kernel went away before it answered. */
export class ControlLostError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ControlLostError";
  }
}

const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * Calls a method on a sandbox's control socket and waits for its answer, however long that
 * takes. The protocol is gVisor's uRPC: one JSON object each way. A held connection costs
 * nothing, where a waiting `runsc wait` process costs megabytes a container.
 */
export function callControl(socketPath: string, method: string, arg: unknown, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = connect({ path: socketPath });
    let answer = "";
    const finish = (act: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      act();
    };
    const onAbort = (): void => finish(() => reject(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.setEncoding("utf8");
    socket.once("connect", () => socket.write(JSON.stringify({ method, arg })));
    socket.on("data", (chunk: string) => {
      answer += chunk;
      if (answer.length > MAX_ANSWER_BYTES) finish(() => reject(new ControlLostError(`${method}: answer too long`)));
      const parsed = parseAnswer(answer);
      if (parsed === undefined) return;
      finish(() => (parsed.success ? resolve(parsed.result) : reject(new Error(`${method}: ${parsed.err}`))));
    });
    socket.once("error", (cause) =>
      finish(() => reject(new ControlLostError(`${method}: ${cause.message}`, { cause }))),
    );
    socket.once("close", () => finish(() => reject(new ControlLostError(`${method}: connection closed`))));
  });
}

interface Answer {
  readonly success: boolean;
  readonly err: string;
  readonly result: unknown;
}

/** The answer once it is whole: JSON text ends where its object closes. */
function parseAnswer(text: string): Answer | undefined {
  if (!text.trimEnd().endsWith("}")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("success" in value)) return undefined;
    const { success, err, result } = value as { success: unknown; err?: unknown; result?: unknown };
    return { success: success === true, err: typeof err === "string" ? err : "", result };
  } catch {
    return undefined;
  }
}
