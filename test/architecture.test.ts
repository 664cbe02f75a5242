import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findViolations, RULES } from "./boundaries.ts";

type Tree = Readonly<Record<string, string>>;

interface Sample {
  /** A tree that breaks the rule. */
  readonly wrong: Tree;
  /** The nearest tree that keeps it. */
  readonly right: Tree;
}

const SAMPLES: Readonly<Record<string, Sample>> = {
  "no-circular": {
    wrong: { "core/src/a.ts": `import "./b.ts";`, "core/src/b.ts": `import type { A } from "#core/a.ts";` },
    right: { "core/src/a.ts": `import "./b.ts";`, "core/src/b.ts": "" },
  },
  "api-imports-only-zod": {
    wrong: { "api/src/a.ts": `import { Hono } from "hono";` },
    right: { "api/src/a.ts": `import * as z from "zod"; import "./b.ts";`, "api/src/b.ts": "" },
  },
  "core-imports-only-api": {
    wrong: { "core/src/a.ts": `import * as z from "zod";` },
    right: { "core/src/a.ts": `import "#api/b.ts";`, "api/src/b.ts": "" },
  },
  "programs-are-islands": {
    wrong: { "runtime/src/a.ts": `import type { B } from "#sidecar/b.ts";`, "sidecar/src/b.ts": "" },
    right: { "runtime/src/a.ts": `import type { B } from "#sidecar/manifest.ts";`, "sidecar/src/manifest.ts": "" },
  },
  "infra-reads-only-manifests": {
    wrong: { "infra/src/a.ts": `import "#sidecar/b.ts";`, "sidecar/src/b.ts": "" },
    right: { "infra/src/a.ts": `import "#sidecar/manifest.ts";`, "sidecar/src/manifest.ts": "" },
  },
  "setup-shares-only-images": {
    wrong: { "cli/src/setup/node/a.ts": `import "#runtime/app.ts";`, "runtime/src/app.ts": "" },
    right: {
      "cli/src/setup/node/a.ts": `import "#runtime/backend/local/image-b.ts";`,
      "runtime/src/backend/local/image-b.ts": "",
    },
  },
  "doctor-shares-only-network": {
    wrong: { "cli/src/doctor/node/a.ts": `import "#runtime/app.ts";`, "runtime/src/app.ts": "" },
    right: {
      "cli/src/doctor/node/a.ts": `import "#runtime/backend/local/node/net-capabilities.ts";`,
      "runtime/src/backend/local/node/net-capabilities.ts": "",
    },
  },
  "sdk-stands-alone": {
    wrong: { "sdk/src/a.ts": `import { Problem } from "#api/problem.ts";`, "api/src/problem.ts": "" },
    right: { "sdk/src/a.ts": `import "./b.ts";`, "sdk/src/b.ts": "" },
  },
  "domain-is-pure": {
    wrong: { "sidecar/src/domain/a.ts": `import "../app.ts";`, "sidecar/src/app.ts": "" },
    right: {
      "sidecar/src/domain/a.ts": `import "#core/b.ts"; import "./c.ts";`,
      "core/src/b.ts": "",
      "sidecar/src/domain/c.ts": "",
    },
  },
  "node-builtins-only-in-node-or-entry": {
    wrong: { "runtime/src/a.ts": `import { readFile } from "node:fs";` },
    right: { "runtime/src/node/a.ts": `import { readFile } from "node:fs";` },
  },
  "portable-never-imports-node-folders": {
    wrong: { "runtime/src/a.ts": `import "./node/b.ts";`, "runtime/src/node/b.ts": "" },
    right: { "runtime/src/entry/a.ts": `import "../node/b.ts";`, "runtime/src/node/b.ts": "" },
  },
  "entry-is-terminal": {
    wrong: { "runtime/src/node/a.ts": `import "../entry/b.ts";`, "runtime/src/entry/b.ts": "" },
    right: { "runtime/src/node/a.ts": "", "runtime/src/entry/b.ts": `import "../node/a.ts";` },
  },
  "routes-see-only-port": {
    wrong: {
      "runtime/src/routes/isola/a.ts": `import "../../backend/memory.ts";`,
      "runtime/src/backend/memory.ts": "",
    },
    right: {
      "runtime/src/routes/isola/a.ts": `import type { B } from "#runtime/backend/port.ts";`,
      "runtime/src/backend/port.ts": "",
    },
  },
  "backends-are-strangers": {
    wrong: { "runtime/src/backend/local/a.ts": `import "../memory/b.ts";`, "runtime/src/backend/memory/b.ts": "" },
    right: {
      "runtime/src/backend/local/a.ts": `import "./b.ts"; import "../port.ts";`,
      "runtime/src/backend/local/b.ts": "",
      "runtime/src/backend/port.ts": "",
    },
  },
  "no-orphans": {
    wrong: { "core/src/a.ts": "export const a = 1;" },
    right: { "core/src/a.ts": "export const a = 1;", "core/src/a.test.ts": `import { a } from "./a.ts";` },
  },
  "no-unresolvable": {
    wrong: { "core/src/a.ts": `import "./gone.ts";` },
    right: { "core/src/a.ts": `import "./b.ts";`, "core/src/b.ts": "" },
  },
  "no-undeclared": {
    wrong: { "runtime/src/a.ts": `import fc from "fast-check";` },
    right: {
      "runtime/src/a.ts": `import { Hono } from "hono";`,
      "runtime/src/a.test.ts": `import fc from "fast-check";`,
    },
  },
};

const MANIFEST = {
  type: "module",
  imports: Object.fromEntries(
    ["api", "core", "runtime", "sidecar", "cli"].map((name) => [`#${name}/*`, `./${name}/src/*`]),
  ),
  dependencies: { zod: "*", hono: "*" },
  devDependencies: { "fast-check": "*" },
};

let home = "";
beforeAll(async () => {
  // Inside the checkout, so that packages resolve as they do for real files.
  const parent = join(import.meta.dirname, "../.atoll");
  await mkdir(parent, { recursive: true });
  home = await mkdtemp(join(parent, "boundaries-"));
});
afterAll(() => rm(home, { recursive: true, force: true }));

async function violatedRules(tree: Tree): Promise<readonly string[]> {
  const root = await mkdtemp(join(home, "tree-"));
  for (const [path, text] of Object.entries({ ...tree, "package.json": JSON.stringify(MANIFEST) })) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  const folders = new Set(Object.keys(tree).map((path) => path.split("/")[0] ?? ""));
  const { violations } = await findViolations(root, [...folders]);
  return violations.map(({ rule }) => rule);
}

describe("dependency rules", () => {
  test("each rule has a sample", () => {
    expect(Object.keys(SAMPLES).toSorted()).toEqual(RULES.toSorted());
  });

  test.each(Object.entries(SAMPLES))(
    "%s is reported where it is broken and silent where it is kept",
    async (rule, sample) => {
      expect(await violatedRules(sample.wrong)).toContain(rule);
      expect(await violatedRules(sample.right)).not.toContain(rule);
    },
  );
});
