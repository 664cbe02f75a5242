import { expect, it } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import { ASSIGNED, sampleRecord } from "../../../test/snapshot-samples.ts";
import { recordBefore } from "./turn.ts";

const record = (name: string, second: number, rest: Parameters<typeof sampleRecord>[1] & object = {}) =>
  sampleRecord({}, { ...rest, metadata: { name, creationTimestamp: `2026-01-01T00:00:${second}Z` } });
const ended = {
  conditions: [{ type: "Succeeded", status: "False", reason: "X", message: "", lastTransitionTime: "" }],
} as const;
const other = (): RootfsSnapshotResource => ({
  ...record("p", 10),
  spec: { ...record("p", 10).spec, snapshotName: "other" },
});

it.each<[string, RootfsSnapshotResource[], string | undefined]>([
  ["none", [], undefined],
  ["itself", [record("r", 20)], undefined],
  ["an earlier one", [record("p", 10)], "p"],
  ["the last of the earlier ones", [record("p", 10), record("q", 15)], "q"],
  ["a later one", [record("s", 30)], undefined],
  ["a later one that a node has", [record("s", 30, { status: ASSIGNED })], "s"],
  ["one that has ended", [record("p", 10, { status: ended })], undefined],
  ["one that writes another name", [other()], undefined],
])("recordBefore() beside %s", (_, others, expected) => {
  expect(recordBefore(record("r", 20), others)).toBe(expected);
});
