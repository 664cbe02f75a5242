import type { StepProgress } from "../setup/step.ts";
import { formatDuration } from "./amount.ts";
import { oneLine } from "./one-line.ts";

/** Where a step stands. */
export type StepState = "running" | "done" | "present" | "failed";

const MARKS = { running: "…", done: "✓", present: "·", failed: "✗" } as const satisfies Record<StepState, string>;
const BAR_CELLS = 20;

/** One line of the display of steps, at most `width` characters. */
export function renderStepLine(
  step: { title: string; state: StepState; elapsedMs: number; progress?: StepProgress },
  width: number,
): string {
  const { fraction, detail } = step.progress ?? {};
  const time = step.state === "present" ? "" : formatDuration(step.elapsedMs);
  const bar = step.state === "running" && fraction !== undefined ? renderBar(fraction) : "";
  const note = step.state === "running" || step.state === "present" ? (detail ?? "") : "";
  const text = [`${MARKS[step.state]} ${step.title.padEnd(34)}`, bar, time, note].filter((part) => part !== "");
  return [...oneLine(text.join("  "))].slice(0, width).join("").trimEnd();
}

/** A bar of twenty cells and the percentage; a fraction outside 0 to 1 is clamped. */
export function renderBar(fraction: number): string {
  const share = Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0));
  const full = Math.floor(share * BAR_CELLS);
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `[${"█".repeat(full)}${"░".repeat(BAR_CELLS - full)}] ${percent}%`;
}
