import { describe, expect, test } from "vitest";
import { parseAptStatus } from "./system-packages.ts";

describe("parseAptStatus()", () => {
  test("takes the last line; fetching is the first half, installing the second", () => {
    expect(parseAptStatus("dlstatus:1:0:Retrieving file 1 of 2\ndlstatus:2:50.0:Retrieving file 2 of 2\n")).toEqual({
      fraction: 0.25,
      detail: "Retrieving file 2 of 2",
    });
    expect(parseAptStatus("dlstatus:1:100:x\npmstatus:skopeo:40.5:Unpacking skopeo (amd64)\nSetting up\n")).toEqual({
      fraction: 0.7025,
      detail: "Unpacking skopeo (amd64)",
    });
  });

  test("never goes beyond done, and knows nothing of other text", () => {
    expect(parseAptStatus("pmstatus:a:250:x")?.fraction).toBe(1);
    expect(parseAptStatus("Reading package lists...\npmerror:/x:0:broken")).toBeUndefined();
  });
});
