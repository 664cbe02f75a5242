import { describe, expect, test } from "vitest";
import { compactLog, formatRecord, replayLog, type LogRecord } from "./command-log.ts";

const A = "11111111-1111-4111-8111-111111111111";
const B = "22222222-2222-4222-8222-222222222222";
const C = "33333333-3333-4333-8333-333333333333";
const RECORDS: LogRecord[] = [
  { kind: "start", id: A, container: "main", digest: "d1" },
  { kind: "start", id: B, container: "side", digest: "d2" },
  { kind: "exit", id: A, exitCode: -1, signal: 9, endedBy: "timeout" },
  { kind: "complete", id: A, streamIndex: 1, end: 0 },
  { kind: "start", id: C, container: "main", digest: "d3" },
  { kind: "complete", id: A, streamIndex: 0, end: 42 },
  { kind: "gone", id: C },
];
const TEXT = RECORDS.map(formatRecord).join("");

describe("replayLog()", () => {
  test("knows results, what is unknown, and what is gone", () => {
    const commands = replayLog(TEXT);
    expect([...commands.keys()]).toEqual([A, B]);
    expect(commands.get(A)).toMatchObject({
      exit: { exitCode: -1, signal: 9, endedBy: "timeout" },
      completeAt: [42, 0],
    });
    expect(commands.get(B)).toMatchObject({
      container: "side",
      digest: "d2",
      exit: undefined,
      completeAt: [undefined, undefined],
    });
  });

  test("is not misled by a log cut at any byte", () => {
    for (let cut = 0; cut <= TEXT.length; cut += 1) {
      const exit = replayLog(TEXT.slice(0, cut)).get(A)?.exit;
      expect([undefined, -1]).toContain(exit?.exitCode);
    }
  });

  test("goes on after a cut line once the log is compacted", () => {
    const cut = replayLog(TEXT.slice(0, TEXT.length - 20));
    expect(replayLog(compactLog(cut.values()) + formatRecord({ kind: "gone", id: B })).has(B)).toBe(false);
  });
});

test("compactLog() tells the same as the log it replaces", () => {
  const commands = replayLog(TEXT);
  expect(replayLog(compactLog(commands.values()))).toEqual(commands);
});
