import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { baseImageStep } from "#cli/setup/node/base-image.ts";
import { systemPackagesStep } from "#cli/setup/node/system-packages.ts";
import type { SetupStep } from "#cli/setup/step.ts";
import { CAP_SYS_RESOURCE, hasCapability } from "../capability.ts";
import { createLayout, type Layout } from "../layout.ts";
import { gvisorRecipe, NODE_RECIPES, STORE_RECIPES, TEST_RECIPES, type GoRecipe } from "../programs.ts";
import { TEST_REQUIREMENTS, TESTBED_REQUIREMENTS } from "../requirements.ts";
import { clusterDnsStep, nodeStep } from "./cluster-steps.ts";
import { pauseFolder, pauseStep } from "./pause-step.ts";
import { goProgramStep, isThere, linkPrograms, programFolder } from "./program-step.ts";
import { registrySeedStep, seedFolder } from "./registry-seed.ts";

/** All that `testbed up` does, in order: what is built once, and what each cluster needs. */
export async function testbedSteps(options: {
  readonly layout: Layout;
  readonly home: string;
  readonly searchPath: string;
}): Promise<readonly SetupStep[]> {
  const { layout, home, searchPath } = options;
  const mayLowerOomScore = hasCapability(await readFile("/proc/self/status", "utf8"), CAP_SYS_RESOURCE);
  const gvisor = gvisorRecipe(mayLowerOomScore);
  const folder = (name: string): string => programFolder(recipeOf(name), layout);
  const pause = await pauseFolder(layout);
  const seed = { layout, pause, coredns: folder("coredns"), registry: join(folder("registry"), "registry") };
  const cluster = {
    layout,
    cniPlugins: folder("cni-plugins"),
    programs: [...NODE_RECIPES.map((recipe) => programFolder(recipe, layout)), pause],
    gvisor: programFolder(gvisor, layout),
    mayLowerOomScore,
    seed: async () => (await seedFolder(home, seed)) ?? "",
  };
  return [
    systemPackagesStep({ searchPath, requirements: TESTBED_REQUIREMENTS }),
    baseImageStep,
    ...[...NODE_RECIPES, gvisor].map((recipe) => goProgramStep(recipe, layout)),
    pauseStep(layout),
    registrySeedStep(seed),
    nodeStep(cluster),
    clusterDnsStep(layout),
  ];
}

/** Builds what only tests need, and puts it beside the programs of the node. */
export function testSteps({ root, searchPath }: { root: string; searchPath: string }): readonly SetupStep[] {
  const layout = createLayout(root);
  const programs = TEST_RECIPES.map((recipe) => linkedProgramStep(recipe, layout));
  return [systemPackagesStep({ searchPath, requirements: TEST_REQUIREMENTS }), ...programs];
}

/** Builds object stores for tests; they need no cluster. */
export function storeSteps(root: string): readonly SetupStep[] {
  const layout = createLayout(root);
  return STORE_RECIPES.map((recipe) => linkedProgramStep(recipe, layout));
}

/** Builds a program once, and has a link to it in the folder of programs. */
function linkedProgramStep(recipe: GoRecipe, layout: Layout): SetupStep {
  const step = goProgramStep(recipe, layout);
  const folder = programFolder(recipe, layout);
  return {
    ...step,
    async check(context) {
      const isLinked = await isThere(join(layout.bin, recipe.name));
      return isLinked ? step.check(context) : { needed: true, reason: "not there" };
    },
    async run(context) {
      if (!(await isThere(folder))) await step.run(context);
      await linkPrograms([folder], layout.bin);
    },
  };
}

function recipeOf(name: string): GoRecipe {
  const recipe = NODE_RECIPES.find((each) => each.name === name);
  if (recipe === undefined) throw new RangeError(`There is no recipe "${name}"`);
  return recipe;
}
