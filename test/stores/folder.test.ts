import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ObjectStore } from "#mounter/storage/port.ts";
import { checkStore } from "./conformance.ts";
import { checkKilled } from "./killed.ts";
import { chunked, sample } from "./samples.ts";
import { openTestStore, SMALL_PARTS } from "./servers.ts";

const call = { signal: new AbortController().signal };
const rules = SMALL_PARTS.folder;
const credentials = { kind: "none" } as const;
let folder = "";
let store: ObjectStore;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atoll-folder-"));
  store = await openTestStore(`file://${folder}/store`, { credentials, rules });
});
afterAll(async () => {
  store.close();
  await rm(folder, { recursive: true, force: true });
});

describe("folder store", () => {
  checkStore(() => ({ store, partBytes: rules.partBytes ?? 0, showsUploads: true }));
});

describe("folder store whose client is killed", () => {
  checkKilled(() => ({ url: `file://${folder}/killed`, credentials, rules, showsUploads: true }));
});

describe("folder store on its file system", () => {
  const always = { kind: "always" } as const;

  test("follows no symbolic link, to a folder or to a file", async () => {
    await mkdir(join(folder, "outside"));
    await writeFile(join(folder, "outside/secret"), "secret");
    await mkdir(join(folder, "store/links"));
    await symlink(join(folder, "outside"), join(folder, "store/links/folder"));
    await symlink(join(folder, "outside/secret"), join(folder, "store/links/file"));
    const invalid = { kind: "invalid" };
    await expect(store.get("links/folder/secret", 100, call)).rejects.toMatchObject(invalid);
    await expect(store.get("links/file", 100, call)).rejects.toMatchObject(invalid);
    await expect(store.put("links/folder/new", sample(3), always, call)).rejects.toMatchObject(invalid);
    await expect(store.remove("links/folder/secret", {}, call)).rejects.toMatchObject(invalid);
    expect((await store.list("links/", {}, call)).items).toEqual([]);
    // A link in the place of an object is replaced itself, and what it leads to stays.
    await store.put("links/file", sample(3), always, call);
    expect(await readFile(join(folder, "outside/secret"), "utf8")).toBe("secret");
    expect(await readdir(join(folder, "outside"))).toEqual(["secret"]);
  });

  test("says that it is full, and leaves nothing", async () => {
    const small = join(folder, "small");
    await mkdir(small);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", small]);
    try {
      const full = await openTestStore(`file://${small}`, { credentials, rules });
      const writing = full.upload("a/b", chunked(sample(2 << 20)), { condition: always }, call);
      await expect(writing).rejects.toMatchObject({ kind: "full", message: expect.stringContaining("a/b") });
      await expect(full.stat("a/b", call)).rejects.toMatchObject({ kind: "absent" });
      expect(await readdir(join(small, "a"))).toEqual([]);
      full.close();
    } finally {
      execFileSync("umount", [small]);
    }
  });

  test("says that a file is in the way of its folder", async () => {
    const opening = openTestStore("file:///dev/null/x", { credentials });
    await expect(opening).rejects.toMatchObject({ name: "StoreError", kind: "invalid" });
  });

  test("loses no update of writers that do not know each other", async () => {
    const key = "count";
    await store.put(key, new Uint8Array([0]), always, call);
    const increment = async (): Promise<void> => {
      const own = await openTestStore(`file://${folder}/store`, { credentials, rules });
      for (let done = 0; done < 5;) {
        const { object, bytes } = await own.get(key, 1, call);
        const condition = { kind: "unchanged", version: object.version } as const;
        const next = new Uint8Array([(bytes[0] ?? 0) + 1]);
        done += await own.put(key, next, condition, call).then(
          () => 1,
          () => 0,
        );
      }
      own.close();
    };
    await Promise.all(Array.from({ length: 4 }, increment));
    expect([...(await store.get(key, 1, call)).bytes]).toEqual([20]);
  });

  test("has no more open files after many calls than before", async () => {
    const count = async (): Promise<number> => (await readdir("/proc/self/fd")).length;
    const round = async (): Promise<void> => {
      const object = await store.upload("fds/x", chunked(sample(200_000)), { condition: always }, call);
      for await (const chunk of store.read(object, { offset: 0, sizeBytes: 200_000 }, call))
        if (chunk.length > 0) break;
      await expect(store.get("fds/x", 10, call)).rejects.toMatchObject({ kind: "invalid" });
      await expect(store.put("fds/x", sample(3), { kind: "absent" }, call)).rejects.toMatchObject({ kind: "changed" });
      await store.list("fds/", {}, call);
    };
    await round();
    const before = await count();
    for (let index = 0; index < 20; index += 1) await round();
    await expect.poll(count).toBeLessThanOrEqual(before + 1);
  });
});
