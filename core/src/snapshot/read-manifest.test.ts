import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { layersNamed, readManifest } from "./read-manifest.ts";
import { layerKey } from "./snapshot-keys.ts";

const digest = `sha256:${"a".repeat(64)}`;
const at = { namespace: "ns", name: "snap" };
const layer = { key: layerKey("ns", "snap", "w1"), digest, bytes: 10, tarDigest: digest, tarBytes: 20, entries: 3 };
const manifest: SnapshotManifest = {
  formatVersion: 1,
  writeId: "w1",
  ...at,
  createdAt: "2026-11-22T10:00:00Z",
  sandboxName: "box",
  containerName: "sandbox0",
  base: { image: "debian", digest },
  runtime: { name: "runsc", version: "release-20260905.0" },
  layers: [layer],
  warnings: [{ code: "SocketsLeftOut", message: "Sockets are not kept.", count: 2, examples: ["./run/x"] }],
};
const read = (value: unknown) => readManifest(JSON.stringify(value), at);

describe("readManifest", () => {
  it("reads back a manifest", () => expect(read(manifest)).toEqual({ kind: "manifest", manifest }));

  it.each<[string, unknown, RegExp]>([
    ["of a later release", { ...manifest, formatVersion: 2 }, /format version 2, and this release reads 1/],
    ["that is something else", { hello: 1 }, /no manifest/],
    ["that is not even an object", [], /no manifest/],
    ["with an unknown member", { ...manifest, colour: "red" }, /damaged/],
    [
      "with a digest that is none",
      { ...manifest, layers: [{ ...layer, digest: "md5:1" }] },
      /damaged at "layers.0.digest"/,
    ],
    ["without layers", { ...manifest, layers: [] }, /damaged at "layers"/],
    ["of another snapshot", { ...manifest, name: "other" }, /that of the snapshot "other"/],
    ["of another namespace", { ...manifest, namespace: "other" }, /namespace "other"/],
    [
      "with a layer of another namespace",
      { ...manifest, layers: [{ ...layer, key: layerKey("other", "snap", "w1") }] },
      /outside of its namespace/,
    ],
    [
      "with a way out of the namespace",
      { ...manifest, layers: [{ ...layer, key: "rootfssnapshots/ns/../other/x.w.tar.zst" }] },
      /outside of its namespace/,
    ],
  ])("refuses one %s", (_, value, fault) => {
    expect(read(value)).toEqual({ kind: "fault", fault: expect.stringMatching(fault) });
  });

  it("refuses one that is too large, without a look into it", () => {
    const huge = { ...manifest, padding: "x".repeat(2 ** 20) };
    expect(read(huge)).toEqual({ kind: "fault", fault: "its manifest is too large" });
  });

  it("takes a layer of another name of the namespace: what the snapshot was built on", () => {
    const below = { ...layer, key: layerKey("ns", "base", "w0") };
    expect(read({ ...manifest, layers: [below, layer] }).kind).toBe("manifest");
  });

  it("answers for any text, without an error", () => {
    const text = fc.oneof(fc.string(), fc.json());
    fc.assert(
      fc.property(text, (any) => {
        expect(readManifest(any, at).kind).toBe("fault");
      }),
    );
  });
});

describe("layersNamed", () => {
  it("names the layers of a manifest of any release, and of one that is damaged elsewhere", () => {
    const below = { key: layerKey("ns", "base", "w0"), form: "of a later release" };
    const later = { ...manifest, formatVersion: 2, layers: [below, layer] };
    expect(layersNamed(JSON.stringify(later))).toEqual([below.key, layer.key]);
    expect(layersNamed(JSON.stringify({ ...manifest, base: 7 }))).toEqual([layer.key]);
  });

  it("tells nothing when a part is missing, or may be", () => {
    const text = JSON.stringify(manifest);
    for (let length = 0; length < text.length; length += 1) expect(layersNamed(text.slice(0, length))).toBeUndefined();
    const { key: _, ...nameless } = layer;
    for (const layers of [[], [layer, nameless], [layer, { key: "elsewhere" }], [layer.key], layer])
      expect(layersNamed(JSON.stringify({ ...manifest, layers }))).toBeUndefined();
    for (const other of ["null", "7", "[]", "{}"]) expect(layersNamed(other)).toBeUndefined();
  });
});
