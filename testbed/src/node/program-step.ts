import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { SetupStep } from "#cli/setup/step.ts";
import type { Layout } from "../layout.ts";
import type { GoRecipe } from "../programs.ts";
import { buildGoPrograms } from "./go-build.ts";

/** Builds the programs of a recipe once; another version is another folder. */
export function goProgramStep(recipe: GoRecipe, layout: Layout): SetupStep {
  const folder = programFolder(recipe, layout);
  return {
    name: recipe.name,
    title: recipe.title,
    async check() {
      if (await isThere(folder)) return { needed: false, reason: "built" };
      return { needed: true, reason: "not built for this version" };
    },
    async run(context) {
      await mkdir(layout.programs, { recursive: true });
      await buildGoPrograms(recipe, folder, context);
      await removeOlder(layout.programs, recipe.name, folder);
    },
  };
}

/** Where the programs of a recipe lie once they are built. */
export function programFolder(recipe: GoRecipe, layout: Layout): string {
  const inputs = JSON.stringify([
    recipe.module,
    recipe.version,
    recipe.programs,
    recipe.how,
    recipe.flags,
    process.arch,
  ]);
  return join(layout.programs, `${recipe.name}-${createHash("sha256").update(inputs).digest("hex").slice(0, 12)}`);
}

/** Puts links to the programs of some folders into one that a search path names. */
export async function linkPrograms(folders: readonly string[], bin: string): Promise<void> {
  await mkdir(bin, { recursive: true });
  for (const folder of folders) {
    for (const name of await readdir(folder)) {
      const link = join(bin, name);
      const part = `${link}.part`;
      await rm(part, { force: true });
      await symlink(join(folder, name), part);
      await rename(part, link);
    }
  }
}

export function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function removeOlder(programs: string, name: string, kept: string): Promise<void> {
  const older = (await readdir(programs))
    .filter((entry) => /-[0-9a-f]{12}(\.part)?$/.test(entry) && entry.slice(0, entry.lastIndexOf("-")) === name)
    .map((entry) => join(programs, entry));
  await Promise.all(older.filter((path) => path !== kept).map((path) => rm(path, { recursive: true, force: true })));
}
