import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** Lists that more than one program needs: each has one owner, the others import it. */
const LISTS: readonly { readonly what: string; readonly owner: string; readonly members: RegExp }[] = [
  {
    what: "capabilities of containers",
    owner: "sidecar/src/manifest.ts",
    members: /"CAP_(?:CHOWN|DAC_OVERRIDE|FOWNER|KILL|MKNOD|SETGID|SETUID|SYS_CHROOT)"/g,
  },
  {
    what: "marks of sibling containers",
    owner: "sidecar/src/manifest.ts",
    members: /"CAP_(?:AUDIT_READ|BLOCK_SUSPEND|MAC_ADMIN|MAC_OVERRIDE|SYS_PACCT|WAKE_ALARM)"/g,
  },
];

/** Lists that are written out again: one member may be spoken of, several are a copy. */
function copiesIn(path: string, text: string): string[] {
  return LISTS.filter(({ owner, members }) => path !== owner && new Set(text.match(members)).size > 1).map(
    ({ what }) => what,
  );
}

describe("lists with one owner", () => {
  test("a copy is reported, and a word of it is not", () => {
    expect(copiesIn("runtime/src/x.ts", `["CAP_CHOWN", "CAP_KILL"]`)).toEqual(["capabilities of containers"]);
    expect(copiesIn("runtime/src/x.ts", `["CAP_MAC_ADMIN", "CAP_WAKE_ALARM"]`)).toEqual([
      "marks of sibling containers",
    ]);
    expect(copiesIn("runtime/src/x.ts", `all.filter((one) => one !== "CAP_KILL")`)).toEqual([]);
    expect(copiesIn("sidecar/src/manifest.ts", `["CAP_CHOWN", "CAP_KILL"]`)).toEqual([]);
  });

  test("no program has a copy", () => {
    const listed = execFileSync("git", ["-c", `safe.directory=${root}`, "ls-files", "*.ts"], {
      cwd: root,
      encoding: "utf8",
    });
    const files = listed.split("\n").filter((path) => /^[^/]+\/src\//.test(path) && !path.endsWith(".test.ts"));
    expect(files).toEqual(expect.arrayContaining(LISTS.map(({ owner }) => owner)));
    const copies = files.flatMap((path) => copiesIn(path, read(path)).map((what) => `${path}: ${what}`));
    expect(copies).toEqual([]);
  });
});

/** A tracked file that is removed but not committed yet has no text. */
function read(path: string): string {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch {
    return "";
  }
}
