import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { renderResults } from "../test/suite-table.ts";
import { formatBytes, formatDuration } from "./amount.ts";
import { createScreen } from "./screen.ts";
import { renderBar, renderStepLine } from "./step-line.ts";
import { renderTable } from "./table.ts";

describe("formatDuration()", () => {
  test.each([
    [0, "0.0 s"],
    [449, "0.4 s"],
    [9_949, "9.9 s"],
    [9_950, "10 s"],
    [59_400, "59 s"],
    [60_000, "1 min 00 s"],
    [185_000, "3 min 05 s"],
  ])("of %d ms is %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe("formatBytes()", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536 * 1024, "1.5 MiB"],
    [1024 ** 3 - 1, "1.0 GiB"],
    [250 * 1024 ** 3, "250 GiB"],
  ])("of %d is %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe("renderBar()", () => {
  test("is always as wide, and full only at the end", () => {
    fc.assert(
      fc.property(fc.double(), (fraction) => {
        const bar = renderBar(fraction);
        expect([...bar]).toHaveLength(27);
        expect(bar.includes("100%")).toBe(fraction >= 1 && Number.isFinite(fraction));
      }),
    );
  });
});

describe("renderStepLine()", () => {
  test("shows bar, time and detail while it runs", () => {
    const step = {
      title: "Packages",
      state: "running",
      elapsedMs: 12_000,
      progress: { fraction: 0.5, detail: "a.deb" },
    } as const;
    expect(renderStepLine(step, 200)).toMatch(/^… Packages +\[█{10}░{10}\] {2}50% {2}12 s {2}a\.deb$/);
  });

  test("keeps to one line of the width, whatever a tool says", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 10, max: 200 }), (detail, width) => {
        const line = renderStepLine({ title: "T", state: "running", elapsedMs: 0, progress: { detail } }, width);
        expect([...line].length).toBeLessThanOrEqual(width);
        // oxlint-disable-next-line no-control-regex
        expect(line).not.toMatch(/[\u0000-\u001f\u007f]/);
      }),
    );
  });
});

describe("renderTable()", () => {
  test("aligns columns and leaves no trailing space", () => {
    expect(
      renderTable(
        ["a", "n"],
        [
          ["xx", "5"],
          ["y", "10"],
        ],
        ["n"],
      ),
    ).toBe("a    n\nxx   5\ny   10");
  });
});

describe("renderResults()", () => {
  test("ends with exactly the sums", () => {
    const row = { name: "a", passed: 3, failed: 0, seconds: 1.24, budgetSeconds: 60 };
    const text = renderResults([row, { ...row, name: "b", failed: 2, note: "why" }]);
    expect(text.split("\n").at(-1)).toBe("6 passed, 2 failed");
    expect(text).toContain("b           3       2      1.2      60  why");
  });
});

describe("createScreen()", () => {
  test("without a terminal prints lines and no status", () => {
    const written: string[] = [];
    const screen = createScreen((text) => written.push(text), undefined);
    screen.status("half");
    screen.print("one");
    screen.clear();
    expect(written).toEqual(["one\n"]);
  });

  test("on a terminal keeps the status below what is printed, within the width", () => {
    const written: string[] = [];
    const screen = createScreen((text) => written.push(text), { columns: 11 });
    screen.status("0123456789abc");
    screen.print("line");
    screen.clear();
    screen.clear();
    expect(written).toEqual(["0123456789", "\r\u001b[2K", "line\n", "0123456789", "\r\u001b[2K"]);
  });
});
