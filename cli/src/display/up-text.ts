import type { DownEvent } from "../verb/down.ts";
import type { StatusReport } from "../verb/status.ts";
import type { UpEvent } from "../verb/up.ts";
import { formatBytes, formatDuration } from "./amount.ts";

/** An event of `up` for people. */
export function renderUp(event: UpEvent): string {
  switch (event.event) {
    case "already-up":
      return `Atoll is up already at ${event.url} (process ${event.pid}); \`atoll down\` stops it.`;
    case "waiting":
      return "Another atoll is at work on this machine; waiting for it.";
    case "started":
      return `✓ Gateway started (process ${event.pid}, log ${event.logFile})`;
    case "ready":
      return `✓ Gateway ready at ${event.url}  ${formatDuration(event.elapsedMs)}`;
    case "first-sandbox":
      return [`✓ First sandbox  ${formatDuration(event.elapsedMs)}`, ...indent(event.output)].join("\n");
    case "usage":
      return renderUsage(event);
    case "stopping":
      return "\nStopping the gateway.";
    case "stopped":
      return renderStopped(event.sandboxesLeft);
  }
}

function renderStopped(left: number): string {
  if (left === 0) return "Stopped.";
  return `Stopped. ${countOf(left)} on; \`atoll up\` finds ${left === 1 ? "it" : "them"} again, \`atoll down\` removes ${left === 1 ? "it" : "them"}.`;
}

function countOf(sandboxes: number): string {
  return sandboxes === 1 ? "1 sandbox goes" : `${sandboxes} sandboxes go`;
}

function renderUsage({ url, detached, logFile }: UpEvent & { event: "usage" }): string {
  const end = detached
    ? `Atoll runs in the background; \`atoll status\` shows it, \`atoll down\` stops it, its log is ${logFile}.`
    : "Ctrl-C stops the gateway; sandboxes that run go on and are found again by the next `atoll up`.";
  return `
Create a sandbox, run a command in it, read what it printed, remove it:

  curl -s ${url}/v1/sandboxes -H 'content-type: application/json' \\
    -d '{"podTemplate":{"containers":[{"image":"atoll/debian"}]}}'
  curl -s ${url}/v1/sandboxes/ID/commands -H 'content-type: application/json' \\
    -d '{"args":["python3","-c","print(6*7)"]}'
  curl -sN ${url}/v1/sandboxes/ID/commands/COMMAND/stdout
  curl -s -X DELETE ${url}/v1/sandboxes/ID

Reference: ${url}/docs

${end}`;
}

/** An event of `down` for people. */
export function renderDown(event: DownEvent): string {
  switch (event.event) {
    case "not-up":
      return "Atoll is not up; nothing to stop.";
    case "waiting":
      return "Another atoll is at work on this machine; waiting for it.";
    case "removing":
      return `Removing ${event.sandboxes === 1 ? "1 sandbox" : `${event.sandboxes} sandboxes`}.`;
    case "down":
      return event.sandboxesKept === 0 ? "Atoll is down." : renderStopped(event.sandboxesKept);
  }
}

/** The answer of `status` for people. */
export function renderStatus(report: StatusReport): string {
  const disk = report.diskBytes === undefined ? [] : [`disk       ${formatBytes(report.diskBytes)} in ${report.home}`];
  if (!report.up) return ["Atoll is not up.", ...disk].join("\n");
  return [
    `Atoll is up${report.ready === true ? "" : ", but not ready"}.`,
    `address    ${report.url}`,
    `process    ${report.pid}, since ${report.startedAt}`,
    `version    ${report.version}`,
    `sandboxes  ${renderCounts(report.sandboxes)}`,
    ...disk,
  ].join("\n");
}

function renderCounts(counts: Readonly<Record<string, number>> | undefined): string {
  if (counts === undefined) return "unknown, the gateway did not answer";
  const parts = Object.entries(counts).map(([state, number]) => `${number} ${state}`);
  return parts.length === 0 ? "none" : parts.toSorted().join(", ");
}

function indent(text: string): string[] {
  return text.split("\n").map((line) => `    ${line}`);
}
