import { describe, expect, test } from "vitest";
import { readEnvironment, readNodeEnvironment } from "./manifest.ts";
import { chooseCredentials } from "./storage/store-credentials.ts";

const STORE = { ATOLL_SNAPSHOT_STORE: "gs://bucket" };
const chosen = (variables: Record<string, string>) => chooseCredentials(readEnvironment({ ...STORE, ...variables }));

describe("readEnvironment()", () => {
  test("names all faults at once", () => {
    expect(() => readEnvironment({ ATOLL_SNAPSHOT_CREDENTIALS_DIR: "secrets" })).toThrow(
      /ATOLL_SNAPSHOT_STORE: .*ATOLL_SNAPSHOT_CREDENTIALS_DIR: Expected an absolute path/,
    );
  });

  test("says what is wrong with a store's URL", () => {
    expect(() => readEnvironment({ ATOLL_SNAPSHOT_STORE: "s3://key:secret@bucket" })).toThrow(
      "ATOLL_SNAPSHOT_STORE: Cannot use the store's URL: credentials do not belong into it",
    );
  });
});

describe("readNodeEnvironment()", () => {
  const least = { ...STORE, ATOLL_NODE_NAME: "node-1", ATOLL_POD_NAME: "mounter-1" };

  test("needs a store, and to know where it is", () => {
    expect(() => readNodeEnvironment({})).toThrow(/ATOLL_SNAPSHOT_STORE.*ATOLL_NODE_NAME.*ATOLL_POD_NAME/);
    expect(readNodeEnvironment(least)).toMatchObject({
      ATOLL_SANDBOX_NAMESPACES: ["isola-sandboxes"],
      ATOLL_RUNSC: "/opt/atoll/gvisor/current/runsc",
      ATOLL_RUNSC_ROOT: "/run/containerd/runsc/k8s.io",
      ATOLL_RESTORE_PORT: 10_033,
      ATOLL_RESTORE_FOLDER: "/var/lib/atoll/restores",
      ATOLL_CONCURRENCY: 4,
    });
  });

  test.each(["restores", "/", "/a/../b", "/a/.", "/a b", "/a/"])("%s is no folder of the node", (path) => {
    for (const name of ["ATOLL_RESTORE_FOLDER", "ATOLL_RUNSC_ROOT", "ATOLL_MOUNTER_DIR"])
      expect(() => readNodeEnvironment({ ...least, [name]: path })).toThrow(name);
  });

  test.each([
    ["ATOLL_SANDBOX_NAMESPACES", ","],
    ["ATOLL_RESTORE_PORT", "0"],
    ["ATOLL_CONCURRENCY", "0"],
    ["ATOLL_MOUNTER_STAGING_BYTES", "1Gi"],
  ])("%s is not %s", (name, value) => {
    expect(() => readNodeEnvironment({ ...least, [name]: value })).toThrow(name);
  });
});

describe("chooseCredentials()", () => {
  test("takes the process's own identity when nothing is given", () => {
    expect(chosen({})).toEqual({ kind: "identity" });
  });

  test("prefers a folder to values, and values to the identity", () => {
    const values = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" };
    expect(chosen(values)).toEqual({ kind: "inline", values });
    expect(chosen({ ...values, ATOLL_SNAPSHOT_CREDENTIALS_DIR: "/s" })).toEqual({ kind: "files", folder: "/s" });
    expect(chosen({ ...values, ATOLL_SNAPSHOT_ANONYMOUS: "true" })).toEqual({ kind: "none" });
  });
});
