import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createRestoreFiles } from "./restore-files.ts";

const uid = (digit: string): string => `${digit.repeat(8)}-2222-3333-4444-555555555555`;
const owner = (digit: string) => ({ namespace: "team", sandboxUid: uid(digit) });
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-restores-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function prepare() {
  const files = await createRestoreFiles(join(dir, "restores"));
  const from = async (text: string): Promise<string> => {
    await writeFile(join(dir, text), text);
    return join(dir, text);
  };
  return { files, from };
}

describe("createRestoreFiles()", () => {
  test("puts an archive where the sandbox's kernel looks, and replaces it, shared or not", async () => {
    const { files, from } = await prepare();
    await files.put(owner("1"), "main", await from("one"));
    const path = join(dir, "restores/team", uid("1"), "main.tar");
    expect([await readFile(path, "utf8"), await files.size(owner("1"), "main")]).toEqual(["one", 3]);
    await files.put(owner("1"), "main", await from("one"));
    await files.put(owner("1"), "main", await from("other"));
    expect(await readFile(path, "utf8")).toBe("other");
    expect(await files.size(owner("2"), "main")).toBeUndefined();
  });

  test("a sandbox's folder goes with its last archive", async () => {
    const { files, from } = await prepare();
    for (const name of ["main", "second"]) await files.put(owner("1"), name, await from(name));
    await files.remove(owner("1"), "main");
    expect(await readdir(join(dir, "restores/team", uid("1")))).toEqual(["second.tar"]);
    await files.remove(owner("1"), "second");
    await files.remove(owner("1"), "second");
    expect(await readdir(join(dir, "restores/team"))).toEqual([]);
  });

  test("sweeps away all but what is kept, and nothing that is not its own", async () => {
    const { files, from } = await prepare();
    for (const digit of ["1", "2"]) await files.put(owner(digit), "main", await from("x"));
    await mkdir(join(dir, "restores/.work/place-1"), { recursive: true });
    await mkdir(join(dir, "restores/team/strange"));
    await files.sweep([owner("2"), { namespace: "other", sandboxUid: uid("1") }]);
    expect((await readdir(join(dir, "restores/team"))).toSorted()).toEqual([uid("2"), "strange"]);
    expect(await readdir(join(dir, "restores/.work"))).toEqual(["place-1"]);
  });

  test.each([
    [{ namespace: "..", sandboxUid: uid("1") }, "main"],
    [{ namespace: "team", sandboxUid: ".." }, "main"],
    [owner("1"), "../main"],
  ])("makes no path of what is no name: %j %s", async (strange, container) => {
    const { files, from } = await prepare();
    await expect(files.put(strange, container, await from("x"))).rejects.toBeInstanceOf(RangeError);
  });
});
