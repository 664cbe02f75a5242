import { characterLength, CR, incompleteTail, LF } from "./utf8.ts";

/** Most bytes of output in one event. Source: the REST contract. */
export const EVENT_MAX_BYTES = 32 * 1024;

/** A comment line: keeps proxies and clients from giving up on a silent stream. */
export const KEEPALIVE: Uint8Array<ArrayBuffer> = ascii(": keepalive\n\n");

const DATA = ascii("data: ");
/** How much of an event is looked at to choose the way, and how many line breaks in it are many. */
const SAMPLE_BYTES = 256;
const MANY_BREAKS = 16;
/** `\ndata: ` for one LF is the largest growth of a byte. */
const MAX_GROWTH = 7;
const MAX_FRAMING_BYTES = 64;

/**
 * Turns raw output bytes into server-sent events, one way and in order:
 * - each event has at most `EVENT_MAX_BYTES` of output, then an `id:` line with the raw offset
 *   after its last byte; LF, CRLF and CR all become line breaks, an invalid byte U+FFFD;
 * - an incomplete character or a final CR is held back, uncounted, until more bytes or `end`.
 */
export interface SseEncoder {
  /** The events of the next bytes; may be empty. The answer is the caller's to keep. */
  push(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
  /** The event of what is held back, at the true end of the stream only. */
  end(): Uint8Array<ArrayBuffer>;
}

/** An encoder whose first byte is the one at `offset` of the stream. */
export function createSseEncoder(offset: number): SseEncoder {
  let position = offset;
  let held = new Uint8Array(0);
  const scratch: Scratch = {
    bytes: new Uint8Array(0),
    decoder: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }),
    encoder: new TextEncoder(),
  };

  const encode = (bytes: Uint8Array, complete: boolean): Uint8Array<ArrayBuffer> => {
    let used = 0;
    let at = 0;
    while (at < bytes.length) {
      const limit = Math.min(at + EVENT_MAX_BYTES, bytes.length);
      const end = complete && limit === bytes.length ? limit : incompleteTail(bytes, at, limit);
      if (end === at) break;
      position += end - at;
      used = writeEvent(scratch, used, { bytes, at, end, id: position });
      at = end;
    }
    held = bytes.slice(at);
    return scratch.bytes.slice(0, used);
  };

  return {
    push: (bytes) => encode(held.length === 0 ? bytes : concat(held, bytes), false),
    end: () => encode(held, true),
  };
}

interface Scratch {
  /** Grows to what one call needs and is used again by the next. */
  bytes: Uint8Array<ArrayBuffer>;
  readonly decoder: TextDecoder;
  readonly encoder: TextEncoder;
}

interface Event {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
  readonly id: number;
}

function writeEvent(scratch: Scratch, used: number, event: Event): number {
  reserve(scratch, used, (event.end - event.at) * MAX_GROWTH + MAX_FRAMING_BYTES);
  const out = scratch.bytes;
  out.set(DATA, used);
  const start = used + DATA.length;
  let to = writeLines(scratch, start, event) ?? writeText(out, start, event);
  const tail = `\nid: ${event.id}\n\n`;
  for (let i = 0; i < tail.length; i += 1) out[to++] = tail.charCodeAt(i);
  return to;
}

/**
 * Copies text by the platform's own means: several times as fast as a loop over its bytes where
 * that text is ASCII and its lines are not very short. Answers where it stopped writing, or
 * undefined, with nothing written, when it is not the way.
 */
function writeLines({ bytes: out, decoder, encoder }: Scratch, start: number, event: Event): number | undefined {
  if (!looksPlain(event)) return undefined;
  let text;
  try {
    text = decoder.decode(event.bytes.subarray(event.at, event.end));
  } catch {
    return undefined;
  }
  if (text.includes("\r")) text = text.replaceAll(/\r\n?/g, "\n");
  return start + encoder.encodeInto(text.replaceAll("\n", "\ndata: "), out.subarray(start)).written;
}

function looksPlain({ bytes, at, end }: Event): boolean {
  const until = Math.min(end, at + SAMPLE_BYTES);
  let breaks = 0;
  for (let i = at; i < until; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte >= 0x80) return false;
    if (byte === LF) breaks += 1;
  }
  return breaks <= MANY_BREAKS;
}

/** Copies any bytes, with line breaks and invalid ones rewritten; answers where it stopped writing. Hot: one pass, no call for plain bytes. */
function writeText(out: Uint8Array, start: number, { bytes, at, end }: Event): number {
  let to = start;
  let from = at;
  while (from < end) {
    const byte = bytes[from] ?? 0;
    if (byte < 0x80) {
      if (byte !== LF && byte !== CR) {
        out[to++] = byte;
        from += 1;
        continue;
      }
      to = writeBreak(out, to);
      from += byte === CR && from + 1 < end && bytes[from + 1] === LF ? 2 : 1;
      continue;
    }
    const length = characterLength(bytes, from, bytes.length);
    if (length > 0) {
      for (let i = 0; i < length; i += 1) out[to++] = bytes[from++]!;
      continue;
    }
    to = writeReplacement(out, to);
    from = length === 0 ? from + 1 : end;
  }
  return to;
}

/** U+FFFD. */
function writeReplacement(out: Uint8Array, at: number): number {
  out[at] = 0xef;
  out[at + 1] = 0xbf;
  out[at + 2] = 0xbd;
  return at + 3;
}

/** `\ndata: `, byte by byte: a block copy of so few costs more. */
function writeBreak(out: Uint8Array, at: number): number {
  out[at] = LF;
  out[at + 1] = 0x64;
  out[at + 2] = 0x61;
  out[at + 3] = 0x74;
  out[at + 4] = 0x61;
  out[at + 5] = 0x3a;
  out[at + 6] = 0x20;
  return at + 7;
}

function reserve(scratch: Scratch, used: number, more: number): void {
  if (scratch.bytes.length >= used + more) return;
  const grown = new Uint8Array((used + more) * 2);
  grown.set(scratch.bytes.subarray(0, used));
  scratch.bytes = grown;
}

function concat(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(head.length + tail.length);
  joined.set(head);
  joined.set(tail, head.length);
  return joined;
}

function ascii(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
