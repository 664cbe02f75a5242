import { describe, expect, it } from "vitest";
import { readEnvironment } from "./manifest.ts";

const LEAST = { ATOLL_SIDECAR_IMAGE: "registry/agent:1" };

describe("readEnvironment()", () => {
  it("needs only the agent's image", () => {
    const environment = readEnvironment(LEAST);
    expect(environment.ATOLL_METRICS_LISTEN).toEqual({ hostname: "0.0.0.0", port: 8080 });
    expect(environment.ATOLL_HEALTH_LISTEN).toEqual({ hostname: "0.0.0.0", port: 8081 });
    expect(environment.ATOLL_LEADER_ELECTION).toBe(true);
    expect(environment.ATOLL_SANDBOX_NAMESPACES).toEqual(["isola-sandboxes"]);
    expect(environment.ATOLL_IMAGE_PULL_SECRETS).toEqual([]);
  });

  it("reads lists, switches and addresses; empty is absent", () => {
    const environment = readEnvironment({
      ...LEAST,
      ATOLL_SANDBOX_NAMESPACES: "a, b",
      ATOLL_LEADER_ELECTION: "false",
      ATOLL_HEALTH_LISTEN: "[::1]:0",
      ATOLL_PRIORITY_CLASS: "",
    });
    expect(environment.ATOLL_SANDBOX_NAMESPACES).toEqual(["a", "b"]);
    expect(environment.ATOLL_LEADER_ELECTION).toBe(false);
    expect(environment.ATOLL_HEALTH_LISTEN).toEqual({ hostname: "::1", port: 0 });
    expect(environment.ATOLL_PRIORITY_CLASS).toBeUndefined();
  });

  it("takes no snapshots unless it is told to, and then from where the mounters are told the same", () => {
    expect(readEnvironment(LEAST)).toMatchObject({ ATOLL_SNAPSHOTS: false, ATOLL_RESTORE_PORT: 10_033 });
    const folder = { ATOLL_RESTORE_FOLDER: "/srv/atoll-restores" };
    expect(readEnvironment({ ...LEAST, ...folder, ATOLL_RESTORE_PORT: "1" })).toMatchObject(folder);
    for (const path of ["restores", "/a/../b", "/a b", "/"]) {
      expect(() => readEnvironment({ ...LEAST, ATOLL_RESTORE_FOLDER: path })).toThrow(/ATOLL_RESTORE_FOLDER/);
    }
    expect(() => readEnvironment({ ...LEAST, ATOLL_RESTORE_PORT: "0" })).toThrow(/ATOLL_RESTORE_PORT/);
  });

  it("names all faults in one error", () => {
    const faulty = { ATOLL_CONCURRENCY: "many", ATOLL_METRICS_LISTEN: "host:70000", ATOLL_RUNTIME_CLASS: "No Class" };
    expect(() => readEnvironment(faulty)).toThrow(
      /ATOLL_METRICS_LISTEN: .*65535.*ATOLL_SIDECAR_IMAGE: .*ATOLL_RUNTIME_CLASS: Expected the name.*ATOLL_CONCURRENCY: Expected a whole/,
    );
  });
});
