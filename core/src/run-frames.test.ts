import { describe, expect, test } from "vitest";
import { encodeExitedFrame } from "./run-frames.ts";

describe("encodeExitedFrame()", () => {
  test("is the exit code and both lengths in 20 bytes, big-endian", () => {
    const frame = encodeExitedFrame({ exitCode: -1, stdoutBytes: 2 ** 33, stderrBytes: 258 });
    expect([...frame]).toEqual(
      [7, [0, 0, 0, 20], [255, 255, 255, 255], [0, 0, 0, 2, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 2]].flat(),
    );
  });

  test.each([-1, 0.5, 2 ** 53, Number.NaN])("refuses the length %d", (length) => {
    expect(() => encodeExitedFrame({ exitCode: 0, stdoutBytes: length, stderrBytes: 0 })).toThrow(RangeError);
    expect(() => encodeExitedFrame({ exitCode: 0, stdoutBytes: 0, stderrBytes: length })).toThrow(RangeError);
  });
});
