import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chargedBytes, nextLimit, planDrops, segmentBytesFor, type KeptCommand, type KeptStream } from "./journal.ts";

const SEGMENT = 100;

function stream(fields: Partial<KeptStream> & { readAt?: number } = {}): KeptStream {
  const { readAt, ...rest } = fields;
  const end = fields.end ?? 0;
  return {
    first: 0,
    end,
    limit: end,
    complete: false,
    lost: false,
    readers: new Set(readAt === undefined ? [] : [{ offset: readAt }]),
    ...rest,
  };
}

function ended(id: string, endedOrder: number, bytes: number, readAt?: number): KeptCommand {
  const fields = readAt === undefined ? {} : { readAt };
  return { id, endedOrder, streams: [stream({ end: bytes, complete: true, ...fields }), stream({ complete: true })] };
}

function running(id: string, fields: Parameters<typeof stream>[0]): KeptCommand {
  return { id, endedOrder: undefined, streams: [stream(fields), stream()] };
}

function dropsOf(commands: readonly KeptCommand[], wanted: number): string[] | undefined {
  return planDrops(commands, wanted, SEGMENT)?.map(
    ({ command, streamIndex, first }) => `${command}.${streamIndex}<${first}`,
  );
}

describe("planDrops()", () => {
  test("takes the command that ended first, and no more than needed", () => {
    const commands = [ended("b", 2, 50), running("r", { end: 900 }), ended("a", 1, 30)];
    expect(dropsOf(commands, 10)).toEqual(["a.0<30"]);
    expect(dropsOf(commands, 31)).toEqual(["a.0<30", "b.0<50"]);
  });

  test("then takes whole old segments of the running stream that keeps the most", () => {
    const commands = [ended("a", 1, 30), running("r", { end: 350 }), running("s", { end: 950 })];
    expect(dropsOf(commands, 31)).toEqual(["a.0<30", "s.0<100"]);
    expect(dropsOf(commands, 30 + 900 + 1)).toEqual(["a.0<30", "s.0<900", "r.0<100"]);
  });

  test("keeps what an attached reader has still to get", () => {
    expect(dropsOf([running("r", { end: 950, readAt: 450 })], 400)).toEqual(["r.0<400"]);
    expect(dropsOf([running("r", { end: 950, readAt: 450 })], 401)).toBeUndefined();
    expect(dropsOf([ended("a", 1, 950, 0)], 1)).toBeUndefined();
    expect(dropsOf([ended("a", 1, 950, 950)], 1)).toEqual(["a.0<100"]);
  });

  test("never frees less than asked, and never what is needed", () => {
    const command = fc.record({
      isEnded: fc.boolean(),
      order: fc.nat(9),
      end: fc.nat(2000),
      readAt: fc.option(fc.nat(2000)),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 6 }), fc.integer({ min: 1, max: 3000 }), (list, wanted) => {
        const commands = list.map(({ isEnded, order, end, readAt }, index) => {
          const at = readAt === null ? undefined : Math.min(readAt, end);
          return isEnded
            ? ended(`${index}`, order, end, at)
            : running(`${index}`, at === undefined ? { end } : { end, readAt: at });
        });
        const drops = planDrops(commands, wanted, SEGMENT);
        for (const { stream: dropped, first } of drops ?? []) {
          expect(first).toBeLessThanOrEqual(dropped.end);
          for (const reader of dropped.readers) expect(first).toBeLessThanOrEqual(reader.offset);
        }
        const freed = drops?.reduce((sum, drop) => sum + drop.first - drop.stream.first, 0);
        if (freed !== undefined) expect(freed).toBeGreaterThanOrEqual(wanted);
      }),
    );
  });
});

test("nextLimit() grows with the stream and waits until half of a grant is used", () => {
  const kib = 1024;
  expect(nextLimit(stream({ end: 0, limit: 64 * kib }), 4096 * kib)).toBe(64 * kib);
  expect(nextLimit(stream({ end: 40 * kib, limit: 64 * kib }), 4096 * kib)).toBe(104 * kib);
  expect(nextLimit(stream({ end: 1024 * kib, limit: 1024 * kib }), 4096 * kib)).toBe(2048 * kib);
  expect(nextLimit(stream({ end: 9000 * kib, limit: 9000 * kib }), 4096 * kib)).toBe(13_096 * kib);
});

test("chargedBytes() counts what a stream may still write", () => {
  expect(chargedBytes(stream({ first: 100, end: 250, limit: 400 }))).toBe(300);
});

test.each([
  [1 << 20, 64 << 10],
  [16 << 20, 1 << 20],
  [1 << 30, 4 << 20],
])("segmentBytesFor(%i) is %i", (budget, segment) => {
  expect(segmentBytesFor(budget)).toBe(segment);
});
