import { describe, expect, test } from "vitest";
import { debootstrapProgress, aptSourcesFor } from "./base-image-recipe.ts";
import { parseAptSources } from "./apt-sources.ts";

describe("debootstrapProgress()", () => {
  test("grows from 0 to 1 and never goes beyond", () => {
    expect(debootstrapProgress({ retrieved: 0, unpacked: 0, configured: 0 })).toBe(0);
    expect(debootstrapProgress({ retrieved: 140, unpacked: 0, configured: 0 })).toBeCloseTo(0.4);
    expect(debootstrapProgress({ retrieved: 150, unpacked: 220, configured: 150 })).toBeCloseTo(1);
  });
});

describe("aptSourcesFor()", () => {
  test("gives sandboxes updates and security fixes of their own release", () => {
    expect(parseAptSources(aptSourcesFor("trixie"), "sources").map(({ uri, suites }) => [uri, ...suites])).toEqual([
      ["http://deb.debian.org/debian", "trixie", "trixie-updates"],
      ["http://deb.debian.org/debian-security", "trixie-security"],
    ]);
  });
});
