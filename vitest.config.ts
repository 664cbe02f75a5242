import { defineConfig } from "vitest/config";

/** Which files belong to which suite of `atoll test`; each test file belongs to exactly one. */
export const PROJECTS = {
  unit: [
    "{api,core,sidecar,operator,mounter,testbed}/src/**/*.test.ts",
    "infra/**/*.test.ts",
    "{cli,runtime}/src/*.test.ts",
    "cli/src/!(setup)/**/*.test.ts",
    "cli/src/setup/*.test.ts",
    "runtime/src/!(backend)/**/*.test.ts",
    "runtime/src/backend/{*,memory/**/*,kubernetes/**/*,local/*,local/snapshot/*}.test.ts",
  ],
  /** What works on the machine itself: it needs the programs that the set-up installs. */
  machine: ["runtime/src/backend/local/node/**/*.test.ts", "cli/src/setup/node/**/*.test.ts"],
  sdk: ["sdk/**/*.test.ts", "test/sdk/**/*.test.ts"],
  architecture: ["test/*.test.ts"],
  http: ["runtime/test/**/*.test.ts"],
  network: ["test/network/**/*.test.ts"],
  agent: ["test/agent/**/*.test.ts"],
  local: ["test/local/**/*.test.ts"],
  stores: ["test/stores/**/*.test.ts"],
  snapshot: ["test/snapshot/**/*.test.ts"],
  testbed: ["test/testbed/**/*.test.ts"],
  /** What needs a Kubernetes cluster: the testbed, with the platform installed on it. */
  cluster: ["test/cluster/**/*.test.ts"],
  /** The same platform under steady load while its parts are killed. */
  chaos: ["test/chaos/**/*.test.ts"],
  /** An etcd and an API server of its own, with simulated nodes. */
  scale: ["test/scale/**/*.test.ts"],
} as const;

/** Modules that run before and after all tests of a suite. */
const AROUND: Partial<Record<string, string>> = {
  agent: "test/harness/sweep-agent-strays.ts",
  snapshot: "test/harness/sweep-snapshot-strays.ts",
  cluster: "test/harness/install-platform.ts",
  chaos: "test/harness/install-platform.ts",
};

export default defineConfig({
  test: {
    testTimeout: 20_000,
    projects: Object.entries(PROJECTS).map(([name, include]) => ({
      extends: true as const,
      test: {
        name,
        include: [...include],
        exclude: ["**/node_modules/**", ".atoll/**"],
        ...(AROUND[name] === undefined ? {} : { globalSetup: AROUND[name] }),
      },
    })),
  },
});
