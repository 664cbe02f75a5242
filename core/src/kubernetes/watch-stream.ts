import type { WatchEvent } from "./client.ts";
import { errorOfStatus, type KubeStatus } from "./kube-answer.ts";
import { KubeError } from "./kube-error.ts";
import type { KubeObject } from "./object.ts";

/** Longest event taken, in characters: etcd keeps objects of at most 1.5 MB unless it is told otherwise. */
export const MAX_EVENT_LENGTH = 16 * 2 ** 20;

const KINDS: Readonly<Record<string, "added" | "modified" | "deleted">> = {
  ADDED: "added",
  MODIFIED: "modified",
  DELETED: "deleted",
};

/**
 * The events of a watch's body. Throws when the stream breaks or ends within an event, when an event
 * is no JSON or too long, and for an event of kind ERROR with the status it carries. Aborted, it
 * throws the signal's reason.
 */
export async function* decodeWatch<T extends KubeObject>(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  maxEventLength = MAX_EVENT_LENGTH,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  for await (const lines of linesOf(body, signal, maxEventLength)) {
    for (const line of lines) {
      const event = eventOf(line);
      // The API server serves the kind that was asked for: its objects are not parsed once more.
      if (event !== undefined) yield event as WatchEvent<T>;
    }
  }
}

/** The whole lines of each chunk: most bursts of events arrive in one, and a turn of the loop for each line is dear. */
async function* linesOf(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  maxLength: number,
): AsyncGenerator<readonly string[]> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = body.getReader();
  const leave = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
  // Parts of the line that is not whole yet: joined once, however many chunks it spans.
  let parts: string[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        signal.throwIfAborted();
        throw broken("The watch was cut", error);
      });
      // A cancelled stream ends as a whole one does.
      signal.throwIfAborted();
      if (done) break;
      const lines = textOf(decoder, value).split("\n");
      const rest = lines.pop() ?? "";
      const first = lines[0];
      if (first !== undefined) {
        lines[0] = parts.length === 0 ? first : parts.join("") + first;
        parts = [];
        length = 0;
        yield lines;
      }
      length += rest.length;
      if (length > maxLength) throw broken(`An event of the watch is longer than ${maxLength} characters`);
      if (rest !== "") parts.push(rest);
    }
  } finally {
    signal.removeEventListener("abort", leave);
    // Ends the request when the reader left early; after the end it does nothing.
    reader.cancel().catch(() => undefined);
  }
  if (length > 0) throw broken("The watch was cut within an event");
}

function textOf(decoder: TextDecoder, bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes, { stream: true });
  } catch (error) {
    throw broken("The watch is not UTF-8", error);
  }
}

function eventOf(line: string): WatchEvent<KubeObject> | undefined {
  if (line === "") return undefined;
  let event: { readonly type?: string; readonly object?: KubeObject & KubeStatus };
  try {
    event = JSON.parse(line) as typeof event;
  } catch (error) {
    throw broken("An event of the watch is not JSON", error);
  }
  const { type = "", object } = event;
  if (type === "ERROR")
    throw errorOfStatus(object ?? {}, object?.code ?? 500, "The API server ended the watch with an error");
  if (typeof object?.metadata !== "object") throw broken("An event of the watch holds no object");
  if (type === "BOOKMARK") return { kind: "bookmark", resourceVersion: object.metadata.resourceVersion ?? "" };
  const kind = KINDS[type];
  return kind === undefined ? undefined : { kind, object };
}

function broken(message: string, cause?: unknown): KubeError {
  return new KubeError(0, message, { reason: "BadAnswer", ...(cause === undefined ? {} : { cause }) });
}
