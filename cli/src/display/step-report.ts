import { sentenceOf } from "../fault.ts";
import type { StepEvent } from "../run-steps.ts";
import type { Screen } from "./screen.ts";
import { renderStepLine } from "./step-line.ts";

const WIDTH = 400;
/** Without a terminal, a long step says this often that it goes on. */
const HEARTBEAT_MS = 30_000;

/** Steps for people: one changing line on a terminal, one line a step elsewhere. */
export function createStepReport(screen: Screen): (event: StepEvent) => void {
  let saidMs = 0;
  return (event) => {
    const { title } = event;
    switch (event.kind) {
      case "present":
        return screen.print(renderStepLine({ title, state: "present", elapsedMs: 0, ...detail(event.reason) }, WIDTH));
      case "start":
        saidMs = 0;
        if (screen.live) return screen.status(renderStepLine({ title, state: "running", elapsedMs: 0 }, WIDTH));
        return screen.print(renderStepLine({ title, state: "running", elapsedMs: 0, ...detail(event.reason) }, WIDTH));
      case "progress": {
        const line = renderStepLine({ ...event, state: "running" }, WIDTH);
        if (screen.live) return screen.status(line);
        if (event.elapsedMs - saidMs < HEARTBEAT_MS) return;
        saidMs = event.elapsedMs;
        return screen.print(line);
      }
      case "done":
      case "failed":
        screen.clear();
        return screen.print(renderStepLine({ ...event, state: event.kind }, WIDTH));
    }
  };
}

/** Steps as JSON lines; progress at most ten times a second. */
export function createJsonStepReport(write: (line: string) => void): (event: StepEvent) => void {
  let lastMs = -Infinity;
  return ({ kind, step, ...rest }) => {
    if (kind === "progress" && "elapsedMs" in rest) {
      if (rest.elapsedMs - lastMs < 100 && rest.elapsedMs >= lastMs) return;
      lastMs = rest.elapsedMs;
    }
    const error = "error" in rest ? { error: sentenceOf(rest.error) } : {};
    write(JSON.stringify({ event: "step", step, state: kind, ...rest, ...error }));
  };
}

function detail(reason: string | undefined): { progress?: { detail: string } } {
  return reason === undefined ? {} : { progress: { detail: reason } };
}
