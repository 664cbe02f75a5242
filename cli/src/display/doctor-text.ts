import type { Finding, Level } from "../doctor/findings.ts";

const MARKS = { ok: "✓ ok", warn: "! warn", missing: "✗ missing" } as const satisfies Record<Level, string>;

/** The findings of `doctor` for people, and in the last line whether Atoll can run. */
export function renderFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.map(
    ({ name, level, message }) => `${MARKS[level].padEnd(9)}  ${name.padEnd(width)}  ${message}`,
  );
  const lacking = findings.filter(({ level }) => level === "missing").length;
  const verdict = lacking === 0 ? "This machine can run Atoll." : `This machine lacks ${lacking} of what Atoll needs.`;
  return [...lines, "", verdict].join("\n");
}
