import { describe, expect, test } from "vitest";
import { showBytes, showPath } from "./show-path.ts";

const bytesOf = (text: string): string => Buffer.from(text).toString("latin1");

describe("showPath()", () => {
  test.each([
    ["./", "/"],
    ["./a b", "/a b"],
    [bytesOf("./grün/日本"), "/grün/日本"],
    ['./"a\\b"', '/\\"a\\\\b\\"'],
    ["./a\nb\x7f", "/a\\x0ab\\x7f"],
    [bytesOf("./a\u202eb"), "/a\\u{202e}b"],
    // Bytes that are no text: all beyond ASCII as bytes, and each backslash told from an escape.
    ["./a\xffb\\\n", "/a\\xffb\\\\\\x0a"],
    ["./\xc3", "/\\xc3"],
  ])("shows %j as %j", (path, shown) => {
    expect(showPath(path)).toBe(shown);
  });

  test("cuts what is long, also within a character", () => {
    expect(showBytes("x".repeat(200))).toBe("x".repeat(200));
    expect(showBytes("x".repeat(201))).toBe(`${"x".repeat(200)}...`);
    expect(showBytes(bytesOf(`${"x".repeat(199)}üü`))).toBe(`${"x".repeat(199)}\\xc3...`);
  });
});
