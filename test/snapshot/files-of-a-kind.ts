import { expect } from "vitest";
import type { Atoll } from "#sdk";
import { runScript } from "./run-script.ts";

export interface FilesOfAKind {
  readonly title: string;
  /** Script that makes them and that checks them, by its first argument. */
  readonly name: string;
  readonly timeoutMs: number;
}

export const MANY_FILES: FilesOfAKind = { title: "100,000 small files", name: "many-files", timeoutMs: 300_000 };
export const LARGE_FILE: FilesOfAKind = { title: "a file of 4 GiB", name: "large-file", timeoutMs: 1_800_000 };

/** Makes files, takes a snapshot of them, and expects of what starts from it that it has them all as they were made. */
export async function expectFilesRestored(
  { name, timeoutMs }: FilesOfAKind,
  { client, image, snapshotName }: { client: Atoll; image: string; snapshotName: string },
): Promise<void> {
  const seconds = timeoutMs / 1000;
  const source = await client.sandboxes.create({ image });
  await runScript(source, { name, words: ["make"] });
  await source.snapshot({ snapshotName, timeoutSeconds: seconds, maxWaitMs: timeoutMs });
  // The machine has no room for both, perhaps.
  await source.delete();
  const wanted = { image, rootfsSnapshotName: snapshotName, startupTimeoutSeconds: seconds };
  const restored = await client.sandboxes.create(wanted, { maxWaitMs: timeoutMs });
  expect(await runScript(restored, { name, words: ["check"] })).toBe("all there\n");
  await restored.delete();
}
