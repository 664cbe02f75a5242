import { expect, test } from "vitest";
import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { resultOf } from "./take-snapshot.ts";

const digest = `sha256:${"0".repeat(64)}`;

test("resultOf() says what was written, not what that stands on", () => {
  const layer = (bytes: number) => ({ key: "k", digest, bytes, tarDigest: digest, tarBytes: 9, entries: 1 });
  const manifest: SnapshotManifest = {
    formatVersion: 1,
    writeId: "w",
    namespace: "team",
    name: "work",
    createdAt: "2026-11-22T10:00:00Z",
    sandboxName: "box",
    containerName: "main",
    base: { image: "debian" },
    runtime: { name: "runsc", version: "v" },
    layers: [layer(1000), layer(7)],
    warnings: [],
  };
  expect(resultOf({ key: "rootfssnapshots/team/work.json", manifest })).toMatchObject({ writeId: "w", bytes: 7 });
});
