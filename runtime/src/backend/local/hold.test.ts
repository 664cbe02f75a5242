import { expect, test } from "vitest";
import { encodeHoldOrder, HOLD_MOST_BYTES, readHoldReport } from "./hold.ts";

test("encodeHoldOrder counts bytes, not characters, and ends each string with a zero byte", () => {
  const order = encodeHoldOrder({ args: ["echo", "ä"], env: ["A=1"] });
  expect([...order.subarray(0, 12)]).toEqual([12, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]);
  expect(new TextDecoder().decode(order.subarray(12))).toBe("echo\0ä\0A=1\0");
});

test("encodeHoldOrder refuses what the waiting program would refuse", () => {
  expect(() => encodeHoldOrder({ args: ["x".repeat(HOLD_MOST_BYTES)], env: [] })).toThrow(/Cannot start a program/);
});

test("readHoldReport tells a start, a refusal with its errno, and an end before the order", () => {
  expect(readHoldReport(new Uint8Array([0x52]))).toEqual({ kind: "started" });
  expect(readHoldReport(new Uint8Array([0x52, 0x45, 2, 0, 0, 0]))).toEqual({ kind: "refused", errno: 2 });
  expect(readHoldReport(new Uint8Array([0x45, 22, 1, 0, 0]))).toEqual({ kind: "refused", errno: 278 });
  expect(readHoldReport(new Uint8Array())).toEqual({ kind: "gone" });
});
