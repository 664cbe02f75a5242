import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SnapshotWarning } from "#api/snapshot-manifest.ts";
import { lossesUnknown, MOST_LOSSES_BYTES, parseLosses, rootWarning } from "./losses.ts";

const hex = (text: string): string => Buffer.from(text, "latin1").toString("hex");

function answer(parts: { sockets?: string; attributes?: string; capabilities?: string; root?: string; end?: string }) {
  const { sockets = "0", attributes = "0", capabilities = "0", root = "755 0 0", end = "10 0 0" } = parts;
  return `sockets ${sockets}\nattributes ${attributes}\ncapabilities ${capabilities}\nroot ${root}\nend ${end}\n`;
}
const seen = (text: string) => parseLosses(text)?.warnings.map(({ code, count, examples }) => [code, count, examples]);

describe("parseLosses()", () => {
  test("tells of nothing when nothing is lost", () => {
    expect(parseLosses(answer({}))).toEqual({ warnings: [], root: { mode: 0o755, uid: 0, gid: 0 } });
  });

  test("makes a warning of each kind, with paths that can be shown", () => {
    const text = answer({
      sockets: `7 ${hex("./run/a b")} ${hex("./so\nck")} ${hex("./\xff")} ${hex('./"\\')} ${hex("./\xc3\xbc")}`,
      attributes: `1 ${hex("./x")}`,
      capabilities: `2 ${hex("./bin/c")}`,
      root: "1751 5 4294967290",
    });
    expect(seen(text)).toEqual([
      ["SocketsLeftOut", 7, ["/run/a b", "/so\\x0ack", "/\\xff", '/\\"\\\\', "/\u00fc"]],
      ["AttributesLeftOut", 1, ["/x"]],
      ["CapabilitiesLeftOut", 2, ["/bin/c"]],
    ]);
    expect(parseLosses(text)?.root).toEqual({ mode: 0o1751, uid: 5, gid: 4_294_967_290 });
  });

  test("says when not all was looked at, and what was found so far", () => {
    expect(seen(answer({ sockets: `1 ${hex("./s")}`, end: "64 0 1" }))).toEqual([
      ["SocketsLeftOut", 1, ["/s"]],
      ["LossesUnknown", 1, []],
    ]);
    const warning = (end: string) => parseLosses(answer({ end }))?.warnings[0]?.message;
    expect(warning("64 0 1")).toContain("after 64 paths its time was over");
    expect(warning("64 3 0")).toContain("3 of its folders and files could not be");
  });

  test.each([
    ["nothing", ""],
    ["half of it", answer({}).slice(0, -2)],
    ["no end of line", answer({}).trimEnd()],
    ["more behind it", `${answer({})}x`],
    ["another order", answer({}).split("\n").toReversed().join("\n")],
    ["a count that is no number", answer({ sockets: "-1" })],
    ["a count of many digits", answer({ sockets: "1".repeat(16) })],
    ["more examples than paths", answer({ sockets: `1 ${hex("./a")} ${hex("./b")}` })],
    ["more than five examples", answer({ sockets: `9${` ${hex("./a")}`.repeat(6)}` })],
    ["half a byte", answer({ sockets: "1 2e2" })],
    ["a path that is too long", answer({ sockets: `1 ${"2e".repeat(257)}` })],
    ["capital digits", answer({ sockets: "1 2E" })],
    ["a root without a mode", answer({ root: "9 0 0" })],
    ["an end without numbers", answer({ end: "x 0 0" })],
    ["another line in between", answer({}).replace("root", "more 1\nroot")],
    ["too many bytes", answer({}).padEnd(MOST_LOSSES_BYTES + 1, " ")],
  ])("refuses %s", (_, text) => {
    expect(parseLosses(text)).toBeUndefined();
  });

  test("makes only warnings that a manifest can hold, whatever it is told", () => {
    const path = fc.uint8Array({ minLength: 1, maxLength: 256 }).map((bytes) => Buffer.from(bytes).toString("hex"));
    const kind = fc
      .tuple(fc.integer({ min: 5, max: 999_999_999_999_999 }), fc.array(path, { maxLength: 5 }))
      .map(([count, paths]) => [count, ...paths].join(" "));
    fc.assert(
      fc.property(kind, kind, kind, (sockets, attributes, capabilities) => {
        const text = answer({ sockets, attributes, capabilities });
        expect(text.length).toBeLessThan(MOST_LOSSES_BYTES);
        const warnings = parseLosses(text)?.warnings ?? [];
        expect(warnings).toHaveLength(3);
        for (const warning of warnings) {
          SnapshotWarning.parse(warning);
          expect(warning.examples.join("")).not.toMatch(/\p{C}/u);
        }
      }),
    );
  });
});

test("lossesUnknown() and rootWarning() are warnings, the latter only of a root that images seldom have", () => {
  expect(SnapshotWarning.parse(lossesUnknown("the agent is gone")).message).toMatch(/: the agent is gone\.$/);
  expect(rootWarning({ mode: 0o755, uid: 0, gid: 0 })).toBeUndefined();
  for (const root of [
    { mode: 0o751, uid: 0, gid: 0 },
    { mode: 0o755, uid: 5, gid: 0 },
    { mode: 0o755, uid: 0, gid: 6 },
  ])
    expect(SnapshotWarning.parse(rootWarning(root))).toMatchObject({ code: "RootFolderNotKept", examples: ["/"] });
});
