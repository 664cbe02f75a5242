import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeLayer as tar, type Member } from "../../../../../../test/machine/make-layer.ts";
import { dumpErofs, packedMode } from "../../../../../test/images/store-harness.ts";
import { packErofsCommand } from "../image-erofs.ts";
import { buildRoot, type BuildOrder } from "./build-root.ts";
import { TAR_END } from "./tar-writer.ts";

let dir = "";
let count = 0;
const next = (name: string): string => join(dir, `${(count += 1)}-${name}`);

/** An image with a few files: `same`, `gone`, `folder/below`, two names of one file, a link. */
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "atoll-root-"));
  const tree = join(dir, "tree");
  for (const name of ["folder", "etc", "deep/er"]) mkdirSync(join(tree, name), { recursive: true });
  for (const name of ["same", "gone", "folder/below", "linked"])
    writeFileSync(join(tree, name), `${name} of the image`);
  execFileSync("ln", [join(tree, "linked"), join(tree, "deep/er/linked")]);
  execFileSync("ln", ["-s", "same", join(tree, "symlink")]);
  const [command = "", ...args] = packErofsCommand(tree, join(dir, "base.erofs"));
  execFileSync(command, args);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Root {
  readonly erofs: string;
  readonly upperTar: string;
  readonly upperBytes: number;
}

function build(layers: readonly (readonly Member[] | Buffer)[], limits: Partial<BuildOrder["limits"]> = {}): Root {
  const order: BuildOrder = {
    base: join(dir, "base.erofs"),
    layers: layers.map((layer) => {
      const bytes = Buffer.isBuffer(layer) ? layer : tar([{ name: "./" }, ...layer]);
      const path = next("layer.tar");
      writeFileSync(path, bytes);
      return { path, tarDigest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
    }),
    erofs: next("root.erofs"),
    upperTar: next("upper.tar"),
    limits: {
      maxEntries: 2 ** 20,
      maxNameBytes: 2 ** 28,
      maxBytes: 2 ** 34,
      maxUpperBytes: 2 ** 26,
      reserveBytes: 0,
      ...limits,
    },
  };
  const { upperBytes } = buildRoot(order);
  return { erofs: order.erofs, upperTar: order.upperTar, upperBytes };
}

/** The root as the tools of EROFS see it, who also find it sound. */
function extract({ erofs }: Root): string {
  const to = next("extracted");
  execFileSync("fsck.erofs", [`--extract=${to}`, "--preserve", erofs], { stdio: "ignore" });
  return to;
}

const names = (root: string): string[] =>
  execFileSync("find", [".", "-mindepth", "1"], { cwd: root, encoding: "latin1" })
    .split("\n")
    .filter(Boolean)
    .toSorted();
const listed = (file: string): string[] =>
  execFileSync("tar", ["--list", "--file", file], { encoding: "utf8" }).split("\n").filter(Boolean);

const MOUNT_POINTS = [
  "./dev",
  "./etc",
  "./etc/hostname",
  "./etc/hosts",
  "./etc/resolv.conf",
  "./proc",
  "./sys",
  "./tmp",
];

describe("buildRoot()", () => {
  test("lays deletions, opaque folders, new types and hard links over the image, and files named like marks", () => {
    const root = extract(
      build([
        [
          { name: "./gone", type: "char" },
          { name: "./same", type: "link", linkName: "./gone" },
          { name: "./folder/", xattrs: { "trusted.overlay.opaque": "y" }, mode: 0o700 },
          { name: "./folder/new", data: "new" },
          { name: "./deep/" },
          { name: "./deep/er", data: "a file now" },
          { name: "./symlink/", mode: 0o755 },
          { name: "./.wh.linked", data: "no mark" },
        ],
        [
          { name: "./folder/" },
          { name: "./folder/twice", type: "link", linkName: "./.wh.linked" },
          { name: "./symlink", type: "symlink", linkName: "elsewhere" },
        ],
      ]),
    );
    const own = ["./.wh.linked", "./deep", "./deep/er", "./folder", "./folder/new", "./folder/twice"];
    expect(names(root)).toEqual([...MOUNT_POINTS, ...own, "./linked", "./symlink"].toSorted());
    expect(readFileSync(join(root, "deep/er"), "utf8")).toBe("a file now");
    expect(readFileSync(join(root, "folder/twice"), "utf8")).toBe("no mark");
    expect(readFileSync(join(root, "linked"), "utf8")).toBe("linked of the image");
    expect(readlinkSync(join(root, "symlink"))).toBe("elsewhere");
  });

  test("keeps modes, owners, times to the nanosecond, names of any bytes, long links and folders of many blocks", async () => {
    const many = Array.from({ length: 3000 }, (_, index): Member => ({ name: `./folder/${"n".repeat(40)}${index}` }));
    const built = build([
      [
        { name: "./folder/", mode: 0o1777 },
        ...many,
        { name: "./owned", mode: 0o4751, uid: 2 ** 21 + 5, gid: 4_294_967_290, seconds: -5n },
        { name: `./${"x".repeat(255)}`, data: "long" },
        { name: "./\xff\n\x01", data: "bytes" },
        { name: "./link", type: "symlink", linkName: "t".repeat(4095) },
      ],
    ]);
    const root = extract(built);
    expect(names(root).filter((name) => name.startsWith("./folder/"))).toHaveLength(3001);
    const owned = lstatSync(join(root, "owned"));
    expect([owned.uid, owned.gid, owned.mtimeMs]).toEqual([2 ** 21 + 5, 4_294_967_290, -5000]);
    expect(await packedMode(built.erofs, "/owned")).toBe(0o104751);
    expect(readFileSync(join(root, "x".repeat(255)), "utf8")).toBe("long");
    expect(readFileSync(Buffer.from(`${root}/\xff\n\x01`, "latin1"), "utf8")).toBe("bytes");
    const same = lstatSync(join(root, "same"), { bigint: true });
    expect(same.mtimeNs).toBe(lstatSync(join(dir, "tree/same"), { bigint: true }).mtimeNs);
    const [linked, other] = [await dumpErofs(built.erofs, "/linked"), await dumpErofs(built.erofs, "/deep/er/linked")];
    expect(/NID: \d+ .*Links: 2/.exec(linked)?.[0]).toBe(/NID: \d+ .*Links: \d+/.exec(other)?.[0]);
    expect(built.upperBytes).toBe(0);
  });

  test("puts attributes, devices and pipes above, each with its folders, and files of no bytes below devices", () => {
    const built = build([
      [
        { name: "./folder/" },
        { name: "./folder/a", data: "content", xattrs: { "user.color": "\xe2\x82\xac" } },
        { name: "./folder/b", type: "link", linkName: "./folder/a" },
        { name: "./device", type: "char", major: 1, minor: 3 },
        { name: "./pipe", type: "fifo" },
        { name: "./plain", data: "plain" },
      ],
    ]);
    expect(listed(built.upperTar)).toEqual(["./", "./device", "./folder/", "./folder/a", "./folder/b", "./pipe"]);
    const shown = execFileSync("tar", ["-xOf", built.upperTar, "./folder/a"], { encoding: "utf8" });
    expect([shown, statSync(built.upperTar).size]).toEqual(["content", built.upperBytes]);
    expect(readFileSync(built.upperTar, "latin1")).toContain("SCHILY.xattr.user.color=\xe2\x82\xac\n");
    expect(lstatSync(join(extract(built), "device")).isFile()).toBe(true);
  });

  test("leaves zeros out of the file, and what a higher layer deletes out of both", () => {
    const zeros = Buffer.alloc(32 * 2 ** 20);
    const built = build([
      [
        { name: "./zeros", data: zeros },
        { name: "./large", data: Buffer.alloc(8 * 2 ** 20, 1) },
      ],
      [{ name: "./large", type: "char" }],
    ]);
    expect(statSync(built.erofs).size).toBeLessThan(zeros.length + 2 ** 20);
    expect(statSync(built.erofs).blocks * 512).toBeLessThan(2 ** 20);
    expect(readFileSync(join(extract(built), "zeros")).equals(zeros)).toBe(true);
  });

  test("gives equal layers equal roots", () => {
    const layer: Member[] = [
      { name: "./b", data: "b" },
      { name: "./a/" },
      { name: "./a/c", xattrs: { "user.x": "y" } },
    ];
    const [one, two] = [build([layer]), build([layer])];
    expect(readFileSync(one.erofs).equals(readFileSync(two.erofs))).toBe(true);
    expect(readFileSync(one.upperTar).equals(readFileSync(two.upperTar))).toBe(true);
  });

  test("reads a layer that is still being written, to the length that it will have", () => {
    const whole = tar([{ name: "./" }, { name: "./a", data: "x".repeat(3_000_000) }, { name: "./b", data: "y" }]);
    const [path, rest] = [next("layer.tar"), next("rest")];
    writeFileSync(path, whole.subarray(0, 1_500_700));
    writeFileSync(rest, whole.subarray(1_500_700));
    const order = { base: join(dir, "base.erofs"), erofs: next("e"), upperTar: next("u") };
    const limits = { maxEntries: 100, maxNameBytes: 1e6, maxBytes: 1e9, maxUpperBytes: 1e6, reserveBytes: 0 };
    const tarDigest = `sha256:${createHash("sha256").update(whole).digest("hex")}`;
    // Building holds up this process: somebody else goes on with the layer, when the reader has come to its end.
    const writer = spawn("sh", [
      "-c",
      'sleep 0.2; head -c 700000 "$1" >> "$2"; sleep 0.1; tail -c +700001 "$1" >> "$2"',
      "sh",
      rest,
      path,
    ]);
    const { upperBytes } = buildRoot({ ...order, layers: [{ path, tarDigest, growsTo: whole.length }], limits });
    writer.unref();
    const root = extract({ erofs: order.erofs, upperTar: order.upperTar, upperBytes });
    expect(readFileSync(join(root, "a"), "utf8")).toBe("x".repeat(3_000_000));
    expect(readFileSync(join(root, "b"), "utf8")).toBe("y");
  });

  const hostile: readonly (readonly [what: string, members: readonly Member[]])[] = [
    ["dots in a name", [{ name: "./../evil", data: "x" }]],
    ["a name of dots", [{ name: "./..", data: "x" }]],
    ["a name of a dot", [{ name: "./.", data: "x" }]],
    ["an absolute name", [{ name: "/evil", data: "x" }]],
    ["an empty part", [{ name: "./folder//x", data: "x" }]],
    [
      "a file below a symlink",
      [
        { name: "./door", type: "symlink", linkName: "/" },
        { name: "./door/x", data: "x" },
      ],
    ],
    ["a file without its folder", [{ name: "./nowhere/x", data: "x" }]],
    ["a hard link out of the root", [{ name: "./l", type: "link", linkName: "../../etc/passwd" }]],
    ["a hard link to a folder", [{ name: "./l", type: "link", linkName: "./folder" }]],
    ["a hard link to nothing", [{ name: "./l", type: "link", linkName: "./nothing" }]],
    ["too long a part", [{ name: `./${"x".repeat(256)}`, data: "x" }]],
    ["too long a symlink", [{ name: "./l", type: "symlink", linkName: "x".repeat(4096) }]],
    ["a root that is a file", [{ name: "./", type: "file", data: "x" }]],
  ];
  test.each(hostile)("refuses %s", (_, members) => {
    expect(() => build([members])).toThrow(expect.objectContaining({ fault: "unusable" }) as Error);
  });

  test("refuses an archive that is cut anywhere, that goes on behind its end, or that is not what its digest says", () => {
    const whole = tar([{ name: "./" }, { name: "./a", data: "x".repeat(600) }, { name: "./b", data: "y" }]);
    for (let end = 0; end < whole.length - TAR_END.length; end += 256)
      expect(() => build([whole.subarray(0, end)])).toThrow(expect.objectContaining({ fault: "corrupt" }) as Error);
    expect(() => build([Buffer.concat([whole, Buffer.from("more")])])).toThrow(/behind its end/);
    const flipped = Buffer.from(whole);
    flipped[10] = 0x41;
    expect(() => build([flipped])).toThrow(/sum is wrong/);
    const path = next("layer.tar");
    writeFileSync(path, whole);
    const order = { base: join(dir, "base.erofs"), erofs: next("e"), upperTar: next("u") };
    const limits = { maxEntries: 100, maxNameBytes: 1e6, maxBytes: 1e9, maxUpperBytes: 1e6, reserveBytes: 0 };
    const layers = [{ path, tarDigest: `sha256:${"0".repeat(64)}` }];
    expect(() => buildRoot({ ...order, layers, limits })).toThrow(
      expect.objectContaining({ fault: "corrupt" }) as Error,
    );
  });

  test.each([
    ["names", { maxEntries: 20 }, Array.from({ length: 30 }, (_, index): Member => ({ name: `./${index}` }))],
    ["bytes of names", { maxNameBytes: 5000 }, [{ name: "./x", xattrs: { "user.x": "x".repeat(6000) } }]],
    ["bytes of files", { maxBytes: 2 ** 20 }, [{ name: "./x", data: Buffer.alloc(2 ** 20) }]],
    ["bytes above", { maxUpperBytes: 4096 }, [{ name: "./x", data: Buffer.alloc(8192), xattrs: { "user.x": "y" } }]],
  ])("refuses too many %s", (_, limits, members: readonly Member[]) => {
    expect(() => build([members], limits)).toThrow(expect.objectContaining({ fault: "unusable" }) as Error);
  });

  test("gives up before the disk is full", () => {
    expect(() => build([[{ name: "./x", data: "x" }]], { reserveBytes: 2 ** 60 })).toThrow(
      expect.objectContaining({ fault: "disk-full" }) as Error,
    );
  });
});
