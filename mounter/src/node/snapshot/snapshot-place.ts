import type { Clock } from "#core/clock.ts";
import type { ObjectStore } from "../../storage/port.ts";

/** Whose snapshot, and under what name. */
export interface SnapshotPlace {
  readonly namespace: string;
  readonly name: string;
}

export interface SnapshotPorts {
  readonly store: ObjectStore;
  readonly clock: Clock;
}

/** A snapshot as sentences name it. */
export function placeText({ namespace, name }: SnapshotPlace): string {
  return `"${name}" in the namespace "${namespace}"`;
}
