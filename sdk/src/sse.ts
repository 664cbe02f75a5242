import { InvalidResponseError } from "./errors.ts";
import type { OutputDecoder, OutputEvent } from "./output-decoder.ts";

export const SSE_MEDIA_TYPE = "text/event-stream";

/** Longest line and longest event; servers send at most 32 KiB of output an event. */
const MAX_EVENT_CHARS = 4 * 1024 * 1024;

/**
 * Decodes the event stream of other servers of this API: `data` lines are text, `id` is the
 * byte offset after it, the regular end of the body is the end of the output. Carriage
 * returns and broken UTF-8 do not survive this format.
 */
export function createSseDecoder(): OutputDecoder {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const encoder = new TextEncoder();
  let rest = "";
  let data: string[] = [];
  let dataChars = 0;
  let id: string | undefined;

  function* push(piece: Uint8Array<ArrayBuffer>): Iterable<OutputEvent> {
    const text = rest + decoder.decode(piece, { stream: true });
    let at = 0;
    // A carriage return at the very end may be half of a line end: it waits for what follows.
    for (let found = lineEnd(text, at); found !== undefined; found = lineEnd(text, at)) {
      const line = text.slice(at, found.end);
      at = found.next;
      if (line === "") yield* dispatch();
      else yield* field(line);
    }
    rest = text.slice(at);
    if (rest.length + dataChars > MAX_EVENT_CHARS)
      throw new InvalidResponseError("The output stream has an endless event.");
  }

  function* field(line: string): Iterable<OutputEvent> {
    const colon = line.indexOf(":");
    if (colon === 0) {
      yield { kind: "idle" };
      return;
    }
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") {
      data.push(value);
      dataChars += value.length + 1;
    } else if (name === "id") id = value;
  }

  function* dispatch(): Iterable<OutputEvent> {
    const text = data.join("\n");
    const nextOffset = id === undefined ? null : offset(id);
    data = [];
    dataChars = 0;
    id = undefined;
    if (text === "") return;
    yield { kind: "data", bytes: encoder.encode(text), nextOffset };
  }

  return { push, finish: () => [{ kind: "end" }] };
}

function lineEnd(text: string, from: number): { end: number; next: number } | undefined {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 10) return { end: at, next: at + 1 };
    if (code !== 13) continue;
    if (at + 1 === text.length) return undefined;
    return { end: at, next: text.charCodeAt(at + 1) === 10 ? at + 2 : at + 1 };
  }
  return undefined;
}

function offset(id: string): number {
  if (!/^\d{1,15}$/.test(id))
    throw new InvalidResponseError(`The output stream has the event id "${id}", not an offset.`);
  return Number(id);
}
