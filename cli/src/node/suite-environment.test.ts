import { describe, expect, it } from "vitest";
import { suiteEnvironment } from "./suite-environment.ts";

const WORLD = { repo: "/repo", home: "/atoll", testbedHome: "/atoll/testbed", searchPath: "/bin" };

describe("suiteEnvironment", () => {
  it("keeps out what belongs to somebody's own gateway and cluster, and lets a bench's size through", () => {
    const env = {
      LANG: "C",
      ATOLL_BACKEND: "memory",
      ISOLA_SANDBOX_NAMESPACE: "mine",
      KUBECONFIG: "/mine",
      ATOLL_SOAK: "1",
      ATOLL_BENCH_ROUNDS: "7",
    };
    expect(suiteEnvironment({ ...WORLD, env }, { soak: false })).toEqual({
      LANG: "C",
      ATOLL_BENCH_ROUNDS: "7",
      ATOLL_HOME: "/atoll",
      ATOLL_TESTBED_HOME: "/atoll/testbed",
      ATOLL_RUNSC: "/atoll/bin/runsc",
      PATH: expect.stringMatching(/^\/repo\/.*:\/bin$/),
    });
  });

  it("tells suites to take their time when asked", () => {
    expect(suiteEnvironment({ ...WORLD, env: {} }, { soak: true })).toMatchObject({ ATOLL_SOAK: "1" });
  });
});
