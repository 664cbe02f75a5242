import { describe, expect, test } from "vitest";
import { judgeRunsc, releaseOfModule, RUNSC_MODULE_VERSION, sha512Of } from "./runsc-release.ts";

describe("judgeRunsc()", () => {
  test.each([
    ["runsc version release-20260820.0\nspec: 1.2.1\n", "release-20260820.0"],
    ["runsc version release-20270101.3\n", "release-20270101.3"],
    ["runsc version release-20260905.0-12-gabcdef\n", "release-20260905.0-12-gabcdef"],
  ])("accepts %j", (output, release) => {
    expect(judgeRunsc(output)).toEqual({ kind: "good", release });
  });

  test.each([
    ["runsc version release-20260819.9\n", "release-20260819.9 is older than release-20260820"],
    ["runsc version 0.0~20221219.0\n", "its version 0.0~20221219.0 names no release date"],
    ["runsc version VERSION_MISSING\n", "its version VERSION_MISSING names no release date"],
    ["", "it does not say its version"],
  ])("refuses %j", (output, why) => {
    expect(judgeRunsc(output)).toEqual({ kind: "bad", why });
  });

  test("accepts what the set-up itself builds", () => {
    expect(judgeRunsc(`runsc version ${releaseOfModule(RUNSC_MODULE_VERSION)}\n`).kind).toBe("good");
  });
});

describe("releaseOfModule()", () => {
  test("reads the commit's date, and refuses a version without one", () => {
    expect(releaseOfModule("v0.0.0-20260905035102-160fafc42237")).toBe("release-20260905.0");
    expect(() => releaseOfModule("v1.2.3")).toThrow(RangeError);
  });
});

describe("sha512Of()", () => {
  const hash = "a".repeat(128);
  test("reads the file's own line", () => {
    expect(sha512Of(`${"b".repeat(128)}  other\n${hash}  runsc\n`, "runsc")).toBe(hash);
    expect(sha512Of(`${hash} *runsc`, "runsc")).toBe(hash);
  });
  test.each(["", `${hash}  other`, `${"a".repeat(127)}  runsc`, "<html>"])("knows none in %j", (text) => {
    expect(sha512Of(text, "runsc")).toBeUndefined();
  });
});
