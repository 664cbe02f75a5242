import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProblemError } from "#core/problem-error.ts";
import { cleanPath, splitPath } from "./path.ts";

describe("cleanPath()", () => {
  test.each([
    ["/a/b", "/w", "/a/b"],
    ["a", "/w", "/w/a"],
    ["../a", "/w/x", "/w/a"],
    ["../../../../etc", "/w", "/etc"],
    ["/a/./b//c/../d/", "/w", "/a/b/d"],
    ["/missing/../b", "/", "/b"],
    [".", "/w", "/w"],
    ["..", "/", "/"],
    ["a", "/", "/a"],
  ])("%s from %s is %s", (path, directory, clean) => {
    expect(cleanPath(path, directory)).toBe(clean);
  });

  test("never leaves a dot, an empty name or a way up", () => {
    const part = fc.constantFrom("..", ".", "", "a", "b c", "...", "é");
    fc.assert(
      fc.property(fc.array(part, { minLength: 1 }), fc.boolean(), (parts, absolute) => {
        const path = (absolute ? "/" : "x/") + parts.join("/");
        const clean = cleanPath(path, "/work");
        expect(clean.startsWith("/")).toBe(true);
        const names = clean.slice(1).split("/");
        if (clean !== "/") expect(names.every((name) => !["", ".", ".."].includes(name))).toBe(true);
        expect(cleanPath(clean, "/other")).toBe(clean);
      }),
    );
  });

  test.each([[""], ["a\0b"], ["x".repeat(256)], ["é".repeat(128)], ["/a".repeat(2048)]])("refuses %j", (path) => {
    expect(() => cleanPath(path, "/")).toThrow(ProblemError);
  });
});

test("splitPath() gives directory and name", () => {
  expect(splitPath("/a/b/c")).toEqual({ directory: "/a/b", name: "c" });
  expect(splitPath("/a")).toEqual({ directory: "/", name: "a" });
  expect(splitPath("/")).toEqual({ directory: "/", name: "" });
});
