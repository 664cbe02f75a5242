import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openLayer } from "./layer-file.ts";
import { readTar } from "./tar-reader.ts";
import { encodeHeader, TAR_END } from "./tar-writer.ts";

const MIB = 2 ** 20;
let dir = "";
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "atoll-tar-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

type Part = "data" | "zeroes" | "hole";

/** Writes an archive of one file, whose parts have half a megabyte each. */
function write(path: string, parts: readonly Part[]): void {
  const bytes = (parts.length * MIB) / 2;
  const none = {
    linkName: "",
    mode: 0o644,
    uid: 0,
    gid: 0,
    seconds: 0n,
    nanoseconds: 0,
    major: 0,
    minor: 0,
    xattrs: [],
  };
  const fd = openSync(path, "w");
  const head = encodeHeader({ type: "file", name: "./f", bytes, ...none });
  writeSync(fd, head);
  for (const [index, part] of parts.entries())
    if (part !== "hole")
      writeSync(fd, Buffer.alloc(MIB / 2, part === "data" ? 7 : 0), 0, MIB / 2, head.length + (index * MIB) / 2);
  writeSync(fd, TAR_END, 0, TAR_END.length, head.length + bytes);
  closeSync(fd);
}

function read(path: string, file = openLayer(path)): { digest: string | undefined; content: string } {
  try {
    const hash = createHash("sha256");
    const digest = readTar({ file }, () => (bytes) => void hash.update(bytes));
    return { digest, content: hash.digest("hex") };
  } finally {
    file.close();
  }
}

describe("readTar()", () => {
  test("reads the same bytes wherever there are holes", () => {
    const path = join(dir, "layer.tar");
    fc.assert(
      fc.property(fc.array(fc.constantFrom<Part>("data", "zeroes", "hole"), { maxLength: 16 }), (parts) => {
        write(path, parts);
        const bytes = readFileSync(path);
        const sha256 = (some: Buffer): string => createHash("sha256").update(some).digest("hex");
        const content = bytes.subarray(512, bytes.length - TAR_END.length);
        expect(read(path)).toEqual({ digest: `sha256:${sha256(bytes)}`, content: sha256(content) });
      }),
      { numRuns: 40 },
    );
  });

  test("keeps nothing of a hole in the kernel's memory", () => {
    const path = join(dir, "layer.tar");
    write(path, ["data", ...Array.from({ length: 256 }, () => "hole" as const), "data"]);
    read(path);
    const kept = execFileSync("fincore", ["--bytes", "--noheadings", "--output", "RES", path], { encoding: "utf8" });
    expect(Number(kept)).toBeLessThan(8 * MIB);
  });

  test("ends as before where a hole is the last that there is of a cut archive", () => {
    const path = join(dir, "layer.tar");
    write(path, ["data", "hole", "hole", "hole", "hole"]);
    const fd = openSync(path, "r+");
    ftruncateSync(fd, 2 * MIB);
    closeSync(fd);
    expect(() => read(path)).toThrow("has been cut");
  });
});
