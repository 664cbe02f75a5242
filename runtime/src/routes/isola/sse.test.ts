import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSseEncoder, EVENT_MAX_BYTES } from "./sse.ts";

interface Event {
  readonly data: string;
  readonly id: number;
}

/** Events as a client of the specification reads them: strict about every line. */
function parse(text: string): Event[] {
  if (text === "") return [];
  expect(text.endsWith("\n\n")).toBe(true);
  return text
    .slice(0, -2)
    .split("\n\n")
    .map((block) => {
      const lines = block.split("\n");
      const id = /^id: (\d+)$/.exec(lines.at(-1) ?? "")?.[1];
      expect(id).toBeDefined();
      const data = lines.slice(0, -1).map((line) => {
        expect(line.startsWith("data: ")).toBe(true);
        return line.slice(6);
      });
      return { data: data.join("\n"), id: Number(id) };
    });
}

/** Encodes in the given pieces. */
function encode(pieces: readonly Uint8Array[], offset = 0): Event[] {
  const encoder = createSseEncoder(offset);
  const outputs = [...pieces.map((piece) => encoder.push(piece)), encoder.end()];
  return outputs.flatMap((output) => parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(output)));
}

/** The text that clients are to get, by another road: decode character by character with the platform's strict decoder. */
function reference(bytes: Uint8Array): string {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const decodes = (part: Uint8Array): boolean => {
    try {
      return [...strict.decode(part)].length === 1;
    } catch {
      return false;
    }
  };
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = [1, 2, 3, 4].find((size) => at + size <= bytes.length && decodes(bytes.subarray(at, at + size)));
    if (length !== undefined) {
      text += strict.decode(bytes.subarray(at, at + length));
      at += length;
      continue;
    }
    const tail = bytes.subarray(at);
    const incomplete = tail.length < 4 && completions(tail).some(decodes);
    text += "\ufffd";
    at = incomplete ? bytes.length : at + 1;
  }
  return text.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
}

/** The beginnings of characters made whole with the lowest and highest bytes that may follow. */
function completions(tail: Uint8Array): Uint8Array[] {
  return [0x80, 0x90, 0x9f, 0xa0, 0xbf].flatMap((next) =>
    [1, 2, 3].map((count) => Uint8Array.from([...tail, next, ...Array<number>(count - 1).fill(0x80)])),
  );
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const joined = (events: readonly Event[]): string => events.map((event) => event.data).join("");

/** Bytes rich in what is hard: line breaks, beginnings and ends of characters. */
const hardBytes = fc
  .array(
    fc.oneof(
      fc
        .constantFrom("\n", "\r", "\r\n", "a", " ", "é", "漢", "😀", "\0", "\ufeff", "\u2028", "data: ", "\n\n")
        .map((text) => [...utf8(text)]),
      fc
        .constantFrom(0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xe2, 0x82, 0xed, 0xa0, 0xf0, 0x90, 0x9f, 0xf4, 0x8f, 0xf5, 0xff)
        .map((byte) => [byte]),
      fc.nat(255).map((byte) => [byte]),
    ),
    { maxLength: 60 },
  )
  .map((parts) => Uint8Array.from(parts.flat()));

/** The same behind enough plain text for an event to look plain at first. */
const laterHardBytes = fc
  .tuple(fc.integer({ min: 200, max: 300 }), hardBytes)
  .map(([count, hard]) => Uint8Array.from([...Array<number>(count).fill(0x61), ...hard]));

const splitBytes = fc
  .tuple(fc.oneof(hardBytes, laterHardBytes), fc.array(fc.nat(400), { maxLength: 12 }))
  .map(([bytes, cuts]) => {
    const sorted = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
    return { bytes, pieces: sorted.slice(1).map((cut, i) => bytes.subarray(sorted[i] ?? 0, cut)) };
  });

describe("createSseEncoder", () => {
  it.each([
    ["hello\n", "data: hello\ndata: \nid: 6\n\n"],
    ["\n", "data: \ndata: \nid: 1\n\n"],
    ["a\r\nb\rc", "data: a\ndata: b\ndata: c\nid: 6\n\n"],
    ["  x", "data:   x\nid: 3\n\n"],
    ["é", "data: é\nid: 2\n\n"],
    ["", ""],
  ])("writes %j by the letter", (text, expected) => {
    expect(new TextDecoder().decode(createSseEncoder(0).push(utf8(text)))).toBe(expected);
  });

  it("counts the id in raw bytes from the offset", () => {
    expect(encode([utf8("é\r\n")], 100)).toEqual([{ data: "é\n", id: 104 }]);
  });

  it.each([
    { held: [0x0d], then: "\n", data: "\n", end: "\n" },
    { held: [0xe6, 0xbc], then: [0xa2], data: "漢", end: "\ufffd" },
    { held: [0xf0, 0x9f, 0x98], then: [0x80], data: "😀", end: "\ufffd" },
  ])("holds back $held uncounted until it is complete or the stream ends", ({ held, then, data, end }) => {
    const rest = typeof then === "string" ? utf8(then) : Uint8Array.from(then);
    const encoder = createSseEncoder(0);
    const first = parse(new TextDecoder().decode(encoder.push(Uint8Array.from([0x61, ...held]))));
    expect(first).toEqual([{ data: "a", id: 1 }]);
    expect(parse(new TextDecoder().decode(encoder.push(rest)))).toEqual([{ data, id: 1 + held.length + rest.length }]);
    expect(encode([Uint8Array.from(held)])).toEqual([{ data: end, id: held.length }]);
  });

  it("replaces each invalid byte by itself", () => {
    expect(encode([Uint8Array.from([0x61, 0xff, 0xfe, 0xe2, 0x82, 0x62, 0xed, 0xa0, 0x80])])).toEqual([
      { data: "a\ufffd\ufffd\ufffd\ufffdb\ufffd\ufffd\ufffd", id: 9 },
    ]);
  });

  it("never puts more than the contract's bytes into an event, and never splits a character or CRLF", () => {
    const bytes = utf8("x" + "漢\r\n".repeat(40_000));
    const events = encode([bytes]);
    expect(joined(events)).toBe(reference(bytes));
    events.forEach((event, i) => expect(event.id - (events[i - 1]?.id ?? 0)).toBeLessThanOrEqual(EVENT_MAX_BYTES));
    expect(events.length).toBe(Math.ceil(bytes.length / EVENT_MAX_BYTES));
  });
});

describe("createSseEncoder, for any bytes in any pieces", () => {
  it("gives the text of the whole, no event empty, ids rising to the end", () => {
    fc.assert(
      fc.property(splitBytes, ({ bytes, pieces }) => {
        const events = encode(pieces);
        expect(joined(events)).toBe(reference(bytes));
        expect(events.every((event) => event.data !== "")).toBe(true);
        const ids = events.map((event) => event.id);
        expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
        expect(ids.at(-1) ?? 0).toBe(bytes.length);
      }),
      { numRuns: 2000 },
    );
  });

  it("gives the same text after a resume at any id", () => {
    fc.assert(
      fc.property(splitBytes, fc.nat(20), ({ bytes, pieces }, pick) => {
        const encoder = createSseEncoder(0);
        const before = pieces.flatMap((piece) => parse(new TextDecoder().decode(encoder.push(piece)))).slice(0, pick);
        const offset = before.at(-1)?.id ?? 0;
        const after = encode([bytes.subarray(offset)], offset);
        expect(joined(before) + joined(after)).toBe(reference(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  it("gives the text of the rest after a resume at any byte", () => {
    fc.assert(
      fc.property(fc.oneof(hardBytes, laterHardBytes), fc.nat(100), (bytes, cut) => {
        const rest = bytes.subarray(Math.min(cut, bytes.length));
        const events = encode([rest], 1000);
        expect(joined(events)).toBe(reference(rest));
        expect(events.at(-1)?.id ?? 1000).toBe(1000 + rest.length);
      }),
      { numRuns: 1000 },
    );
  });
});
