import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseManifest, parseProcessConfig } from "./image-manifest.ts";

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const layer = (size: number, more = {}): object => ({ mediaType: "x", digest: digest("b"), size, ...more });
const manifest = (layers: readonly object[]): object => ({
  schemaVersion: 2,
  config: { digest: digest("a"), size: 2 },
  layers,
});

describe("parseManifest()", () => {
  test("sums the layers of one platform's manifest", () => {
    const parsed = parseManifest(manifest([layer(10), layer(5, { urls: [] })]));
    expect(parsed).toEqual({ kind: "manifest", manifest: { configDigest: digest("a"), layersBytes: 15 } });
  });

  test("lists an index's platforms and leaves out members without one", () => {
    const member = { mediaType: "x", digest: digest("c"), size: 1 };
    const index = {
      manifests: [{ ...member, platform: { os: "linux", architecture: "arm64", variant: "v8" } }, member],
    };
    expect(parseManifest(index)).toEqual({
      kind: "index",
      platforms: [{ platform: "linux/arm64", digest: digest("c") }],
    });
  });

  test.each([
    ["schema 1", { schemaVersion: 1, name: "x" }],
    ["a layer elsewhere", manifest([layer(1, { urls: ["http://169.254.169.254/"] })])],
    ["a negative size", manifest([layer(-1)])],
    ["a digest that is a path", manifest([{ digest: "sha256:../../etc/passwd", size: 1 }])],
    ["another algorithm", { schemaVersion: 2, config: { digest: `md5:${"0".repeat(32)}`, size: 1 }, layers: [] }],
    ["no layers", { schemaVersion: 2, config: { digest: digest("a"), size: 1 } }],
    ["too many layers", manifest(Array.from({ length: 1001 }, () => layer(1)))],
    ["a bad index", { manifests: [{ digest: "x" }] }],
    ["null", null],
    ["text", "x"],
  ])("refuses %s", (_name, json) => {
    expect(parseManifest(json).kind).toBe("unusable");
  });

  test("never throws", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => ["index", "manifest", "unusable"].includes(parseManifest(json).kind)),
    );
  });
});

describe("parseProcessConfig()", () => {
  test("fills what an image leaves out", () => {
    const empty = { user: "", env: {}, entrypoint: [], cmd: [], workingDir: "/" };
    for (const json of [{}, { config: null }, { config: {} }, { config: { Env: null, Cmd: null, WorkingDir: "" } }]) {
      expect(parseProcessConfig(json)).toEqual(empty);
    }
  });

  test("keeps the last value of a variable and drops what is none", () => {
    const config = { Env: ["A=1", "A=2=3", "EMPTY=", "=x", "none", "Z=\0"], WorkingDir: "relative" };
    expect(parseProcessConfig({ config })).toMatchObject({ env: { A: "2=3", EMPTY: "" }, workingDir: "/relative" });
  });

  test.each([null, [], "x", { config: { Cmd: "sh" } }, { config: { Env: [1] } }, { config: { User: 5 } }])(
    "refuses %j",
    (json) => {
      expect(parseProcessConfig(json)).toBeUndefined();
    },
  );
});
