import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SnapshotName } from "#api/scalars.ts";
import { layerKey, manifestKey, parseSnapshotKey, rawKey, snapshotPrefix } from "./snapshot-keys.ts";

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,6}[a-z0-9])?$/);
/** Names that look like other keys are the hard ones. */
const name = fc
  .array(fc.oneof(label, fc.constantFrom("tar", "zst", "json")), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join("."))
  .filter((text) => SnapshotName.safeParse(text).success);

describe("parseSnapshotKey", () => {
  it("reads back what the other functions write, for any names", () => {
    fc.assert(
      fc.property(label, name, label, (namespace, of, writeId) => {
        const at = { namespace, name: of };
        expect(parseSnapshotKey(manifestKey(namespace, of))).toEqual({ kind: "manifest", ...at });
        expect(parseSnapshotKey(rawKey(namespace, of))).toEqual({ kind: "raw", ...at });
        expect(parseSnapshotKey(layerKey(namespace, of, writeId))).toEqual({ kind: "layer", ...at, writeId });
        expect(layerKey(namespace, of, writeId).startsWith(snapshotPrefix(namespace))).toBe(true);
      }),
    );
  });

  it("gives different snapshots different keys", () => {
    const write = fc.tuple(label, name, label);
    fc.assert(
      fc.property(write, write, (a, b) => {
        expect(layerKey(...a) === layerKey(...b)).toBe(a.join("/") === b.join("/"));
        expect(manifestKey(a[0], a[1]) === manifestKey(b[0], b[1])).toBe(a[0] === b[0] && a[1] === b[1]);
      }),
    );
  });

  it.each([
    "rootfssnapshots/ns/x",
    "rootfssnapshots/ns/.json",
    "rootfssnapshots/ns/x.tar.zst",
    "rootfssnapshots/ns/.x.tar.zst",
    "rootfssnapshots/ns/x..tar.zst",
    "rootfssnapshots//x.json",
    "rootfssnapshots/ns/deeper/x.json",
    "rootfssnapshots/x.json",
    "other/ns/x.json",
    "",
  ])("knows nothing of %j", (key) => expect(parseSnapshotKey(key)).toBeUndefined());
});
