import type { Suite } from "./suite.ts";

/** Where logs and reports of suites go, below the checkout's root. */
export const REPORTS = ".atoll/test";

/** How much longer than its budget a suite may take when its soak tests run too. */
export const SOAK_FACTOR = 24;

/** Every suite, in the order in which they run: what fails fast comes first. */
export const SUITES: readonly Suite[] = [
  {
    name: "types",
    title: "Each layer type-checks with only its own globals",
    budgetSeconds: 35,
    needs: "nothing",
    quick: true,
    command: ["node", "test/run-types.ts"],
    counting: "tally",
  },
  {
    name: "lint",
    title: "oxlint, type-aware",
    budgetSeconds: 25,
    needs: "nothing",
    quick: true,
    command: ["oxlint", "--type-aware", "--tsconfig=tsconfig.node.json", "--deny-warnings"],
    counting: "exit",
  },
  {
    name: "format",
    title: "oxfmt",
    budgetSeconds: 10,
    needs: "nothing",
    quick: true,
    command: ["oxfmt", "--check"],
    counting: "exit",
  },
  {
    name: "boundaries",
    title: "Dependency rules between and inside programs",
    budgetSeconds: 15,
    needs: "nothing",
    quick: true,
    command: ["node", "test/run-boundaries.ts"],
    counting: "tally",
  },
  {
    name: "knip",
    title: "No unused file, export or dependency",
    budgetSeconds: 20,
    needs: "nothing",
    quick: true,
    command: ["knip", "--no-progress"],
    counting: "exit",
  },
  vitest("unit", "Units and properties beside the code", 190, "nothing", true),
  vitest("architecture", "The fences report what they forbid", 20, "nothing", true),
  vitest("sdk", "TypeScript client on Node, Bun and Deno", 50, "nothing", true),
  vitest("http", "One HTTP suite on Bun, Deno, Node and workerd", 120, "nothing", true),
  vitest("machine", "Images and set-up steps on this machine, against a real registry", 110, "setup", false),
  vitest("network", "Flows and life of links, with real packets", 30, "setup", false),
  vitest("agent", "The agent in a real gVisor sandbox: isolation, output, files", 90, "setup", false),
  vitest("local", "Local backend on gVisor: conformance, limits, recovery, snapshots", 450, "stores", false),
  vitest("snapshot", "Layers of snapshots out of gVisor and back into it", 40, "setup", false),
  vitest("stores", "Object stores on real servers: conformance, faults, bounded memory", 120, "stores", false),
  vitest("testbed", "A Kubernetes of one node: up, down, what it can, what kill -9 does to it", 90, "testbed", false),
  vitest("scale", "The operator over 1,000 sandboxes on simulated nodes", 110, "testbed", false),
  vitest(
    "cluster",
    "The platform installed on Kubernetes: operator, gateway, fence, life of sandboxes",
    2100,
    "platform",
    false,
  ),
  vitest("chaos", "The platform under load while its parts are killed", 400, "platform", false),
  pytest("e2e", "Official Isola Python client against the gateway", 360, "setup"),
  pytestOnPlatform("e2e", "Official Isola Python client against the platform on Kubernetes", 300),
  pytest("fuzz", "Requests made from the OpenAPI document", 45, "setup"),
];

/** The same folder of Python tests, against the platform installed on the testbed: most of their time they wait for pods. */
function pytestOnPlatform(folder: string, title: string, budgetSeconds: number): Suite {
  const { command, ...suite } = pytest(folder, title, budgetSeconds, "platform");
  return {
    ...suite,
    name: `${folder}-cluster`,
    command: ["node", "test/run-on-platform.ts", ...command, "--numprocesses=3"],
  };
}

/** A folder of Python tests with its own pinned packages. */
function pytest(name: string, title: string, budgetSeconds: number, needs: Suite["needs"]): Suite {
  const command = ["node", "test/run-python.ts", `test/${name}`];
  return { name, title, budgetSeconds, needs, quick: false, command, counting: "pytest" };
}

/** A project of `vitest.config.ts` as a suite. */
function vitest(name: string, title: string, budgetSeconds: number, needs: Suite["needs"], quick: boolean): Suite {
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${REPORTS}/${name}.json`];
  // There is one testbed: its tests come one after the other, however many processors there are.
  const order = needs === "testbed" || needs === "platform" ? ["--no-file-parallelism"] : [];
  const command = ["node", "node_modules/vitest/vitest.mjs", "run", `--project=${name}`, ...order, ...reporters];
  return { name, title, budgetSeconds, needs, quick, command, counting: "vitest" };
}
