import { expect } from "vitest";
import type { Atoll, Sandbox, Snapshot } from "#sdk";
import { runScript } from "./run-script.ts";
import { differenceOf, listTree, partOf, type TreeListing } from "./tree-listing.ts";

export interface RandomTrees {
  readonly client: Atoll;
  readonly image: string;
  /** Begins the names of the snapshots. */
  readonly prefix: string;
  /** Paths of which the backend keeps nothing, as it says. */
  readonly lost?: readonly string[];
}

interface Place {
  readonly label: string;
  readonly container: string;
  /** A folder of the tree's own, and such of the image as no other tree and nothing that runs here needs. */
  readonly folders: readonly string[];
}

/** Trees in one sandbox that are changed, taken and restored so many times. */
interface Course {
  readonly seed: string;
  readonly places: readonly Place[];
  readonly generations: number;
}

interface Step {
  readonly course: Course;
  readonly generation: number;
}

/** What is compared, and how it is called behind the seed. */
interface Part {
  readonly name: string;
  readonly folders: readonly string[];
}

/** How often each kind of change was made. */
type Changes = Readonly<Record<string, number>>;

/** What was done to a container, and what it has been when its snapshot was taken. */
interface Taken {
  readonly changes: Changes;
  readonly listing: TreeListing;
}

const CONTAINERS = ["a", "b", "c"];
const OF_THE_IMAGE: readonly (readonly string[])[] = [
  ["/usr/share/doc"],
  ["/usr/share/zoneinfo"],
  ["/usr/share/ca-certificates"],
  ["/etc/ssl/certs"],
  ["/usr/share/terminfo", "/usr/share/common-licenses", "/usr/share/keyrings"],
  ["/usr/share/git-core", "/opt", "/srv", "/home"],
];
const PLACES: readonly Place[] = CONTAINERS.flatMap((container) =>
  OF_THE_IMAGE.map((folders, at) => ({ label: `${container}${at}`, container, folders: [`/t${at}`, ...folders] })),
);
const CHANGES = 150;
/** Names of the image's own that a tree must have lost in the end, on the average: trees that kept them would prove little. */
const LEAST_LOST = 10;

const COURSES = chosenCourses();

/** How many trees are changed, taken, restored and compared. */
export const TREES = COURSES.reduce((sum, { places, generations }) => sum + places.length * generations, 0);
export const TREES_TIMEOUT_MS = 60_000 + TREES * 10_000;

/** Changes roots over an image at random, generation upon generation, and expects of each tree that it is restored as it was. */
export async function expectRandomTreesRestored(trees: RandomTrees): Promise<void> {
  for (const course of COURSES) {
    console.info(`ATOLL_SEED=${course.seed}`);
    await expectCourseRestored(trees, course);
  }
}

/** `ATOLL_SEED` repeats what failed: a whole course (`1234`), or one of its trees alone (`1234/b2`). */
function chosenCourses(): readonly Course[] {
  const isSoak = process.env["ATOLL_SOAK"] === "1";
  const chosen = process.env["ATOLL_SEED"];
  const generations = isSoak ? 8 : 3;
  const [seed = "", label] = (chosen ?? `${Date.now() % 1_000_000}`).split("/");
  const places = PLACES.filter((place) => label === undefined || place.label === label);
  if (places.length === 0) throw new Error(`No tree is called ${label}: ${PLACES.map((place) => place.label).join()}`);
  const length = isSoak && chosen === undefined ? 7 : 1;
  return Array.from({ length }, (_, at) => ({ seed: at === 0 ? seed : `${seed}-${at}`, places, generations }));
}

async function expectCourseRestored(trees: RandomTrees, course: Course): Promise<void> {
  const isWhole = course.places.length === PLACES.length;
  const containers = containersOf(course);
  let sandbox = await create(trees, containers);
  const original = await listTree(sandbox, containers[0] ?? "", OF_THE_IMAGE.flat());
  // All that a file system can hold, once: chance may leave some of it out.
  if (isWhole) await runScript(sandbox, { name: "make", container: "a" });
  const made: Changes[] = [];
  let last: readonly TreeListing[] = [];
  for (let generation = 0; generation < course.generations; generation += 1) {
    const step = { course, generation };
    const taken = await Promise.all(containers.map((name) => changeAndTake(sandbox, name, { trees, step })));
    const restored = await create(trees, containers, trees.prefix);
    await Promise.all(
      containers.map((name, at) => expectRestored(restored, name, { trees, step, before: taken[at]?.listing ?? {} })),
    );
    await sandbox.delete();
    sandbox = restored;
    made.push(...taken.map(({ changes }) => changes));
    last = taken.map(({ listing }) => listing);
  }
  await sandbox.delete();
  if (isWhole) expectMuchChanged(made, { original, last });
}

function containersOf({ places }: Course): readonly string[] {
  return CONTAINERS.filter((name) => places.some(({ container }) => container === name));
}

/** A sandbox with these containers; each from its snapshot, if they have a prefix. */
function create({ client, image }: RandomTrees, names: readonly string[], prefix?: string): Promise<Sandbox> {
  const containers = names.map((name) => ({
    name,
    image,
    rootfsSnapshotName: prefix === undefined ? undefined : `${prefix}-${name}`,
  }));
  return client.sandboxes.create({ containers });
}

/** What is compared of a container: its trees, and the rest of the root of one of them, as that takes its time. */
function partsOf({ course, generation }: Step, container: string): readonly Part[] {
  const containers = containersOf(course);
  const isWhole = containers.indexOf(container) === generation % containers.length;
  const rest = { name: ` beside the trees of ${container}`, folders: ["/"] };
  const places = course.places.filter((place) => place.container === container);
  return [...places.map(({ label, folders }) => ({ name: `/${label}`, folders })), ...(isWhole ? [rest] : [])];
}

async function changeAndTake(
  sandbox: Sandbox,
  container: string,
  { trees, step }: { readonly trees: RandomTrees; readonly step: Step },
): Promise<Taken> {
  const { course, generation } = step;
  // Each tree has a seed of its own, so that it comes out the same without the others.
  const seeded = course.places
    .filter((place) => place.container === container)
    .map(({ label, folders }) => [`${course.seed}/${label}/${generation}`, folders]);
  const words = [`${CHANGES}`, JSON.stringify(seeded)];
  const changes = JSON.parse(await runScript(sandbox, { name: "mutate", words, container })) as Changes;
  const folders = partsOf(step, container).flatMap((part) => part.folders);
  const listing = await listTree(sandbox, container, folders);
  const { warnings } = await sandbox.snapshot({
    containerName: container,
    snapshotName: `${trees.prefix}-${container}`,
  });
  expect(warnings.filter((warning) => !isExpected(warning, trees))).toEqual([]);
  return { changes, listing };
}

/** Holes are made at random, one file is of a time that no snapshot can keep, and what a backend loses it says. */
function isExpected({ code, examples }: Snapshot["warnings"][number], { lost = [] }: RandomTrees): boolean {
  if (code === "RootFolderNotKept") return lost.includes("/");
  return code === "HolesFilled" || (code === "TimesOutOfRange" && examples.join() === "/t/far");
}

async function expectRestored(
  sandbox: Sandbox,
  container: string,
  { trees, step, before }: { readonly trees: RandomTrees; readonly step: Step; readonly before: TreeListing },
): Promise<void> {
  const parts = partsOf(step, container);
  const after = await listTree(
    sandbox,
    container,
    parts.flatMap(({ folders }) => folders),
  );
  for (const { name, folders } of parts) {
    const difference = differenceOf(partOf(before, folders), partOf(after, folders), trees.lost ?? []);
    expect(difference, `ATOLL_SEED=${step.course.seed}${name}, generation ${step.generation}`).toEqual([]);
  }
}

/** Of every kind there was a change, and much of the image is gone. */
function expectMuchChanged(
  made: readonly Changes[],
  { original, last }: { original: TreeListing; last: readonly TreeListing[] },
): void {
  const kinds = Object.keys(made[0] ?? {});
  expect(kinds).not.toEqual([]);
  expect(kinds.filter((kind) => made.every((changes) => changes[kind] === 0))).toEqual([]);
  const lost = last.flatMap((listing) =>
    OF_THE_IMAGE.flat().flatMap((folder) => {
      const kept = partOf(listing, [folder]);
      return Object.keys(original[folder] ?? {}).filter((path) => !(path in kept));
    }),
  );
  expect(lost.length).toBeGreaterThan(LEAST_LOST * PLACES.length);
}
