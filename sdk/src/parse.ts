import { InvalidResponseError } from "./errors.ts";
import type {
  ContainerInfo,
  SandboxDocument,
  SandboxStatus,
  SandboxSummaryDocument,
  SnapshotDocument,
  SnapshotListDocument,
  SnapshotStatus,
} from "./wire.ts";

/*
 * The members this client relies on are checked; the rest is taken as the server says,
 * so that a newer server with more members still works.
 */

const STATUSES: readonly string[] = [
  "Pending",
  "Running",
  "Terminating",
  "Succeeded",
  "Failed",
] satisfies SandboxStatus[];

const SNAPSHOT_STATUSES: readonly string[] = ["Pending", "Running", "Succeeded", "Failed"] satisfies SnapshotStatus[];

export function parseSandbox(value: unknown): SandboxDocument {
  const sandbox = record(value, "a sandbox");
  const template = record(sandbox["podTemplate"], "the containers of a sandbox");
  const containers = list(template["containers"], "the containers of a sandbox");
  for (const container of containers) {
    const { name, image } = record(container, "a container");
    text(name, "the name of a container");
    text(image, "the image of a container");
  }
  return {
    ...(sandbox as unknown as SandboxDocument),
    ...parseSummary(sandbox),
    podTemplate: { containers: containers as ContainerInfo[] },
  };
}

export function parseSandboxList(value: unknown): SandboxSummaryDocument[] {
  const { sandboxes } = record(value, "a list of sandboxes");
  return sandboxes === null ? [] : list(sandboxes, "a list of sandboxes").map(parseSummary);
}

export function parseSnapshot(value: unknown): SnapshotDocument {
  const snapshot = record(value, "a snapshot");
  text(snapshot["id"], "the id of a snapshot");
  text(snapshot["snapshotName"], "the name of a snapshot");
  text(snapshot["creationTimestamp"], "the creation time of a snapshot");
  const status = text(snapshot["status"], "the status of a snapshot");
  if (!SNAPSHOT_STATUSES.includes(status)) throw unknownStatus(status);
  return snapshot as unknown as SnapshotDocument;
}

export function parseSnapshotList(value: unknown): SnapshotListDocument {
  const { rootfsSnapshots, next } = record(value, "a list of snapshots");
  const page = list(rootfsSnapshots, "a list of snapshots").map(parseSnapshot);
  return { rootfsSnapshots: page, ...(next === undefined ? {} : { next: text(next, "the next page of a list") }) };
}

export function parseCommandId(value: unknown): string {
  return text(record(value, "a command")["id"], "the id of a command");
}

/** Null while the command runs. */
export function parseExitCode(value: unknown): number | null {
  const { exitCode = null } = record(value, "the status of a command");
  if (exitCode === null || Number.isInteger(exitCode)) return exitCode as number | null;
  throw unexpected("an exit code");
}

function parseSummary(value: unknown): SandboxSummaryDocument {
  const { id, status, creationTimestamp } = record(value, "a sandbox");
  if (!STATUSES.includes(text(status, "the status of a sandbox"))) {
    throw unknownStatus(status);
  }
  return {
    id: text(id, "the id of a sandbox"),
    status: status as SandboxStatus,
    creationTimestamp: text(creationTimestamp, "the creation time of a sandbox"),
  };
}

function unknownStatus(status: unknown): InvalidResponseError {
  return new InvalidResponseError(`The server reports the status "${String(status)}", which the API does not have.`);
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw unexpected(what);
}

function list(value: unknown, what: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw unexpected(what);
}

function text(value: unknown, what: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw unexpected(what);
}

function unexpected(what: string): InvalidResponseError {
  return new InvalidResponseError(`The answer of the server should have ${what}, but does not.`);
}
