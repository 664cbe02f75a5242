import type { Sandbox } from "#sdk";
import { runScript } from "./run-script.ts";

/** What is known of each path, by the folder that was asked for and the path. */
export type TreeListing = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** So few paths that differ are told. */
const MOST_TOLD = 5;

/** Lists folders of a container; what lies in one of them is in no other's part. */
export async function listTree(sandbox: Sandbox, container: string, folders: readonly string[]): Promise<TreeListing> {
  return JSON.parse(await runScript(sandbox, { name: "list", words: folders, container })) as TreeListing;
}

/** The parts of a listing that belong to some folders, as one; a folder that is not there has no paths. */
export function partOf(listing: TreeListing, folders: readonly string[]): Readonly<Record<string, unknown>> {
  return Object.assign({}, ...folders.map((folder) => listing[folder] ?? {})) as Record<string, unknown>;
}

/** Paths of which something differs, and how; the first few. */
export function differenceOf(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  lost: readonly string[],
): readonly unknown[] {
  const paths = new Set([...Object.keys(before), ...Object.keys(after)]);
  const kept = [...paths].filter((path) => !lost.includes(path));
  const differ = kept.filter((path) => JSON.stringify(before[path]) !== JSON.stringify(after[path]));
  return differ.slice(0, MOST_TOLD).map((path) => [path, before[path], after[path]]);
}
