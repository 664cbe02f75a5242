import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Atoll, type Sandbox } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";

const image = "atoll/debian";
const script = (name: string): string => readFileSync(join(import.meta.dirname, `snapshot/${name}.py`), "utf8");

/** Containers of one sandbox, each with a tree of its own, and how often each is changed, taken and restored. */
const CONTAINERS = ["a", "b", "c", "d", "e"];
const ROUNDS = process.env["ATOLL_SOAK"] === "1" ? 200 : 5;
const CHANGES = 150;
/** What is changed: new folders, and such of the image as nothing needs that runs here. */
const FOLDERS = "/t /srv /opt /home /etc/skel /usr/share/doc /usr/share/perl5 /usr/share/ca-certificates".split(" ");

type Tree = Record<string, unknown>;

describe("what is restored", { timeout: ROUNDS * 60_000 }, () => {
  let gateway: GatewayProcess;
  let client: Atoll;
  beforeAll(async () => {
    gateway = await startGateway();
    client = new Atoll({ url: gateway.url });
  }, 60_000);
  afterAll(() => gateway.dispose(), 60_000);

  async function python(sandbox: Sandbox, container: string, name: string, ...words: string[]): Promise<string> {
    const args = ["python3", "-c", script(name), ...words];
    const { exitCode, stdout, stderr } = await sandbox.commands.run(args, { container });
    if (exitCode !== 0) throw new Error(`${name} ${words.join(" ")} ended with ${exitCode}: ${stderr.slice(-2000)}`);
    return stdout;
  }

  const listOf = async (sandbox: Sandbox, container: string, folders: readonly string[]): Promise<Tree> =>
    JSON.parse(await python(sandbox, container, "list", ...folders)) as Tree;
  /** The whole root now and then, as that takes its time; else what is changed. */
  const partOf = (round: number, index: number): readonly string[] =>
    round % CONTAINERS.length === index ? [] : FOLDERS;

  it(`equals what was there, for ${CONTAINERS.length * ROUNDS} random trees over an image, each on top of the ones before`, async () => {
    const firstSeed = Number(process.env["ATOLL_SEED"] ?? Date.now() % 1_000_000);
    console.info(`ATOLL_SEED=${firstSeed}`);
    let sandbox = await client.sandboxes.create({ containers: CONTAINERS.map((name) => ({ name, image })) });
    const original = Object.keys(await listOf(sandbox, "a", FOLDERS.slice(1)));
    let mostChanged = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const trees = await Promise.all(
        CONTAINERS.map(async (name, index) => {
          await python(
            sandbox,
            name,
            "mutate",
            `${firstSeed + round * CONTAINERS.length + index}`,
            `${CHANGES}`,
            ...FOLDERS,
          );
          const tree = await listOf(sandbox, name, partOf(round, index));
          const snapshot = await sandbox.snapshot({ containerName: name, snapshotName: `tree-${name}` });
          expect(snapshot.warnings.filter(({ code }) => code !== "HolesFilled")).toEqual([]);
          return tree;
        }),
      );
      const containers = CONTAINERS.map((name) => ({ name, image, rootfsSnapshotName: `tree-${name}` }));
      const restored = await client.sandboxes.create({ containers });
      for (const [index, name] of CONTAINERS.entries()) {
        const [before, after] = [trees[index], await listOf(restored, name, partOf(round, index))];
        if (before === undefined) throw new Error("No tree");
        expect([firstSeed, round, name, differenceOf(before, after)]).toEqual([firstSeed, round, name, []]);
        mostChanged = Math.max(mostChanged, original.filter((path) => !(path in before)).length);
      }
      await sandbox.delete();
      sandbox = restored;
    }
    // Trees that kept all of the image would prove little.
    expect(mostChanged).toBeGreaterThan(20);
    await sandbox.delete();
  });
});

/** Paths of which something differs, and how; the first few. */
function differenceOf(before: Tree, after: Tree): readonly unknown[] {
  const paths = new Set([...Object.keys(before), ...Object.keys(after)]);
  const differ = [...paths].filter((path) => JSON.stringify(before[path]) !== JSON.stringify(after[path]));
  return differ.slice(0, 5).map((path) => [path, before[path], after[path]]);
}
