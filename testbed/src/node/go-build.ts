import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { OLDEST_GO, requireGo } from "#cli/setup/node/require-go.ts";
import { runStepTool } from "#cli/setup/node/step-tool.ts";
import type { SetupContext } from "#cli/setup/step.ts";
import { stagedGoMod, toolsFile, wrapperGoMod } from "../go-module.ts";
import type { GoBuild, GoRecipe } from "../programs.ts";

const Download = z.object({ Dir: z.string() });
/** Static programs: they run in images without a C library, and runsc in an empty root. */
const STATIC = "CGO_ENABLED=0";
const RESOLVE = "GOFLAGS=-mod=mod";

interface Build {
  readonly recipe: GoRecipe;
  readonly work: string;
  readonly out: string;
  readonly context: SetupContext;
}

/** Builds all programs of a recipe into a folder, which appears only when it is whole. */
export async function buildGoPrograms(recipe: GoRecipe, folder: string, context: SetupContext): Promise<void> {
  await requireGo(`${recipe.title} cannot be built`, context.signal);
  const part = `${folder}.part`;
  const build = { recipe, work: join(part, "work"), out: join(part, "out"), context };
  await rm(part, { recursive: true, force: true });
  await mkdir(build.work, { recursive: true });
  await mkdir(build.out);
  await compile(build, recipe.how);
  await rm(folder, { recursive: true, force: true });
  await rename(build.out, folder);
  await rm(part, { recursive: true, force: true });
}

async function compile(build: Build, how: GoBuild): Promise<void> {
  const { recipe, work, out } = build;
  const packages = Object.values(recipe.programs);
  switch (how.kind) {
    case "install": {
      const pinned = packages.map((path) => `${path}@${recipe.version}`);
      return go(build, ["install", "-v", ...recipe.flags, ...pinned], [RESOLVE, `GOBIN=${out}`]);
    }
    case "staged":
      await writeStagedModule(build);
      await writeMains(work, how.mains);
      return go(build, ["build", "-v", ...recipe.flags, "-o", `${out}/`, ...packages], [RESOLVE]);
    case "main":
      await writeFile(join(work, "go.mod"), goModOf(recipe));
      await writeMains(work, how.mains);
      return buildEach(build, [RESOLVE]);
    case "patched":
      await writeFile(join(work, "go.mod"), goModOf(recipe));
      await writeFile(join(work, "tools.go"), toolsFile(packages));
      await go(build, ["mod", "tidy"], [RESOLVE]);
      await go(build, ["mod", "vendor"], [RESOLVE]);
      await patch(join(work, "vendor", how.file), how);
      return buildEach(build, ["GOFLAGS=-mod=vendor"]);
  }
}

function goModOf(recipe: GoRecipe): string {
  return wrapperGoMod(recipe, `${OLDEST_GO.major}.${OLDEST_GO.minor}`);
}

/** One at a time: a package's own name need not be its program's. */
async function buildEach(build: Build, env: readonly string[]): Promise<void> {
  for (const [name, path] of Object.entries(build.recipe.programs))
    await go(build, ["build", "-v", ...build.recipe.flags, "-o", join(build.out, name), path], env);
}

async function writeStagedModule({ recipe, work, context }: Build): Promise<void> {
  const { signal, progress } = context;
  progress({ detail: "fetching the sources" });
  const command = ["env", STATIC, RESOLVE, "go", "mod", "download", "-json", `${recipe.module}@${recipe.version}`];
  const failure = `The sources of ${recipe.title} cannot be fetched`;
  const { Dir } = Download.parse(JSON.parse(await runStepTool(command, { signal, cwd: work, failure, retries: 2 })));
  await writeFile(join(work, "go.mod"), stagedGoMod(await readFile(join(Dir, "go.mod"), "utf8"), recipe));
  await writeFile(join(work, "go.sum"), await readFile(join(Dir, "go.sum")));
}

async function writeMains(work: string, mains: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, source] of Object.entries(mains)) {
    await mkdir(join(work, name));
    await writeFile(join(work, name, "main.go"), source);
  }
}

async function patch(file: string, { from, to }: { from: string; to: string }): Promise<void> {
  const source = await readFile(file, "utf8");
  if (!source.includes(from)) throw new Error(`${file} has no "${from}" to change.`);
  await writeFile(file, source.replace(from, to));
}

async function go({ recipe, work, context }: Build, words: readonly string[], env: readonly string[]): Promise<void> {
  let compiled = 0;
  const onOutput = (text: string): void => {
    const lines = text.split("\n").filter((line) => line !== "");
    const fetched = lines.findLast((line) => line.startsWith("go: downloading "));
    compiled += lines.filter((line) => !line.startsWith("go: ")).length;
    context.progress({
      fraction: Math.min(compiled / recipe.typicalPackages, 0.99),
      detail: fetched === undefined ? `compiled ${compiled} packages` : fetched.slice(4, 64),
    });
  };
  await runStepTool(["env", STATIC, ...env, "go", ...words], {
    signal: context.signal,
    cwd: work,
    failure: `${recipe.title} cannot be built`,
    retries: 2,
    onOutput,
  });
}
