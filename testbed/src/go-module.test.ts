import { describe, expect, test } from "vitest";
import { stagedGoMod, toolsFile, wrapperGoMod } from "./go-module.ts";
import { gvisorRecipe, NODE_RECIPES, STORE_RECIPES, TEST_RECIPES } from "./programs.ts";

const KUBERNETES = { module: "k8s.io/kubernetes", version: "v1.34.4" };

describe("stagedGoMod()", () => {
  test("replaces folders of the source tree by their versions, and nothing else", () => {
    const goMod = `module k8s.io/kubernetes

require (
\tk8s.io/api v0.0.0
\texample.com/other v1.2.3
)

replace (
\tk8s.io/api => ./staging/src/k8s.io/api
\tk8s.io/cri-api => ./staging/src/k8s.io/cri-api
\texample.com/other => example.com/fork v1.0.0
)
`;
    expect(stagedGoMod(goMod, KUBERNETES)).toBe(`module testbedbuild

require (
\tk8s.io/api v0.0.0
\texample.com/other v1.2.3
)

replace (
\tk8s.io/api => k8s.io/api v0.34.4
\tk8s.io/cri-api => k8s.io/cri-api v0.34.4
\texample.com/other => example.com/fork v1.0.0
)

require k8s.io/kubernetes v1.34.4
`);
  });
});

describe("wrapperGoMod()", () => {
  test("asks for one version of one module", () => {
    expect(wrapperGoMod(KUBERNETES, "1.26")).toBe(
      "module testbedbuild\n\ngo 1.26\n\nrequire k8s.io/kubernetes v1.34.4\n",
    );
  });
});

describe("toolsFile()", () => {
  test("imports packages for their sources alone", () => {
    expect(toolsFile(["a/b", "c"])).toBe('//go:build tools\n\npackage tools\n\nimport (\n\t_ "a/b"\n\t_ "c"\n)\n');
  });
});

describe("recipes", () => {
  const all = [...NODE_RECIPES, ...TEST_RECIPES, ...STORE_RECIPES, gvisorRecipe(true)];

  test("name exact versions, and no program twice", () => {
    expect(all.filter(({ version }) => !/^v\d+\.\d+\.\d+(-[0-9a-z.-]+)?$/.test(version))).toEqual([]);
    const programs = all.flatMap((recipe) => Object.keys(recipe.programs));
    expect(new Set(programs).size).toBe(programs.length);
  });

  test("change gVisor's shim only where the machine takes away the right that it needs", () => {
    expect(gvisorRecipe(true).how.kind).toBe("main");
    expect(gvisorRecipe(false).how.kind).toBe("patched");
  });
});
