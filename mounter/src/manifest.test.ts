import { describe, expect, test } from "vitest";
import { readEnvironment } from "./manifest.ts";
import { chooseCredentials } from "./storage/store-credentials.ts";

const STORE = { ATOLL_SNAPSHOT_STORE: "gs://bucket" };
const chosen = (variables: Record<string, string>) => chooseCredentials(readEnvironment({ ...STORE, ...variables }));

describe("readEnvironment()", () => {
  test("names all faults at once", () => {
    expect(() => readEnvironment({ ATOLL_SNAPSHOT_CREDENTIALS_DIR: "secrets" })).toThrow(
      /ATOLL_SNAPSHOT_STORE: .*ATOLL_SNAPSHOT_CREDENTIALS_DIR: Expected an absolute path/,
    );
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
