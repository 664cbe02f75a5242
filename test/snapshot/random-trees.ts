import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Atoll, Sandbox } from "#sdk";

const script = (name: string): string =>
  readFileSync(join(import.meta.dirname, `../local/snapshot/${name}.py`), "utf8");

/** Containers of one sandbox, each with a tree of its own. */
const CONTAINERS = ["a", "b", "c", "d", "e"];
const CHANGES = 150;
/** What is changed: new folders, and such of the image as nothing needs that runs here. */
const FOLDERS = "/t /srv /opt /home /etc/skel /usr/share/doc /usr/share/perl5 /usr/share/ca-certificates".split(" ");
/** Names of the image's own that the trees must have lost: trees that kept all of it would prove little. */
const LEAST_LOST = 20;
/** So few paths that differ are told. */
const MOST_TOLD = 5;

type Tree = Record<string, unknown>;

export interface RandomTrees {
  readonly client: Atoll;
  readonly image: string;
  /** How often all trees are changed, taken and restored. */
  readonly rounds: number;
  /** Begins the names of the snapshots. */
  readonly prefix: string;
  /** Paths of which the backend keeps nothing, as it says. */
  readonly lost?: readonly string[];
}

/** How many trees so many rounds make. */
export function treesOf(rounds: number): number {
  return CONTAINERS.length * rounds;
}

/** Changes roots over an image at random, round upon round, and expects of each that its snapshot restores it as it was. */
export async function expectRandomTreesRestored({
  client,
  image,
  rounds,
  prefix,
  lost = [],
}: RandomTrees): Promise<void> {
  const firstSeed = Number(process.env["ATOLL_SEED"] ?? Date.now() % 1_000_000);
  console.info(`ATOLL_SEED=${firstSeed}`);
  let sandbox = await client.sandboxes.create({ containers: CONTAINERS.map((name) => ({ name, image })) });
  const original = Object.keys(await listOf(sandbox, "a", FOLDERS.slice(1)));
  let mostLost = 0;
  for (let round = 0; round < rounds; round += 1) {
    const trees = await Promise.all(
      CONTAINERS.map(async (name, index) => {
        const seed = firstSeed + round * CONTAINERS.length + index;
        await python(sandbox, name, "mutate", `${seed}`, `${CHANGES}`, ...FOLDERS);
        const tree = await listOf(sandbox, name, partOf(round, index));
        const snapshot = await sandbox.snapshot({ containerName: name, snapshotName: `${prefix}-${name}` });
        expect(snapshot.warnings.filter(({ code }) => code !== "HolesFilled")).toEqual([]);
        return tree;
      }),
    );
    const containers = CONTAINERS.map((name) => ({ name, image, rootfsSnapshotName: `${prefix}-${name}` }));
    const restored = await client.sandboxes.create({ containers });
    const found = await Promise.all(CONTAINERS.map((name, index) => listOf(restored, name, partOf(round, index))));
    for (const [index, name] of CONTAINERS.entries()) {
      const [before, after] = [trees[index], found[index]];
      if (before === undefined || after === undefined) throw new Error("No tree");
      expect([firstSeed, round, name, differenceOf(before, after, lost)]).toEqual([firstSeed, round, name, []]);
      mostLost = Math.max(mostLost, original.filter((path) => !(path in before)).length);
    }
    await sandbox.delete();
    sandbox = restored;
  }
  expect(mostLost).toBeGreaterThan(LEAST_LOST);
  await sandbox.delete();
}

async function python(sandbox: Sandbox, container: string, name: string, ...words: string[]): Promise<string> {
  const args = ["python3", "-c", script(name), ...words];
  const { exitCode, stdout, stderr } = await sandbox.commands.run(args, { container });
  if (exitCode !== 0) throw new Error(`${name} ${words.join(" ")} ended with ${exitCode}: ${stderr.slice(-2000)}`);
  return stdout;
}

async function listOf(sandbox: Sandbox, container: string, folders: readonly string[]): Promise<Tree> {
  return JSON.parse(await python(sandbox, container, "list", ...folders)) as Tree;
}

/** The whole root now and then, as that takes its time; else what is changed. */
function partOf(round: number, index: number): readonly string[] {
  return round % CONTAINERS.length === index ? [] : FOLDERS;
}

/** Paths of which something differs, and how; the first few. */
function differenceOf(before: Tree, after: Tree, lost: readonly string[]): readonly unknown[] {
  const paths = new Set([...Object.keys(before), ...Object.keys(after)]);
  const kept = [...paths].filter((path) => !lost.includes(path));
  const differ = kept.filter((path) => JSON.stringify(before[path]) !== JSON.stringify(after[path]));
  return differ.slice(0, MOST_TOLD).map((path) => [path, before[path], after[path]]);
}
