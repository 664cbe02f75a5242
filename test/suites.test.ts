import { globSync, readFileSync } from "node:fs";
import { join, matchesGlob } from "node:path";
import { describe, expect, test } from "vitest";
import { OPTIONS } from "#cli/node/parse-invocation.ts";
import { SUITES } from "#cli/test/suites.ts";
import { PROJECTS } from "../vitest.config.ts";

const root = join(import.meta.dirname, "..");

describe("SUITES", () => {
  test("run every test file exactly once", () => {
    const files = globSync("**/*.test.ts", { cwd: root, exclude: ["**/node_modules", "**/.atoll"] });
    const homes = files.map((file) => [file, projectsOf(file)] as const);
    expect(homes.filter(([, projects]) => projects.length !== 1)).toEqual([]);
    const used = new Set(homes.flatMap(([, projects]) => projects));
    const run = SUITES.flatMap(({ command }) => command)
      .filter((word) => word.startsWith("--project="))
      .map((word) => word.slice("--project=".length));
    expect(run.toSorted()).toEqual([...used].toSorted());
  });

  test("have names that are unique and fit file names", () => {
    const names = SUITES.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))).toEqual([]);
  });

  test("fit into 90 minutes with a set-up of 16, though all of them took nine tenths of their budgets", () => {
    const seconds = SUITES.reduce((sum, { budgetSeconds }) => sum + budgetSeconds, 0);
    expect(seconds * 0.9 + 16 * 60).toBeLessThanOrEqual(90 * 60);
  });
});

describe("help pages", () => {
  test.each(Object.entries(OPTIONS))("of %s name each option and no other", (verb, options) => {
    const page = readFileSync(join(root, `cli/help/${verb}.txt`), "utf8");
    const named = new Set([...page.matchAll(/--([a-z-]+)/g)].map((match) => match[1]));
    expect([...named].toSorted()).toEqual(Object.keys(options).toSorted());
  });
});

function projectsOf(file: string): readonly string[] {
  return Object.entries(PROJECTS)
    .filter(([, globs]) => globs.some((glob) => matchesGlob(file, glob)))
    .map(([name]) => name);
}
