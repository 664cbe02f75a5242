import { lstat, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { LayerEntry } from "../../../../test/images/make-image.ts";
import {
  call,
  directory,
  dumpErofs,
  file,
  packedMode,
  symlink,
  useImageStore,
} from "../../../../test/images/store-harness.ts";

const h = useImageStore();

describe("pullImage()", () => {
  test("applies whiteouts, opaque directories, hard links, setuid, owners, times and odd names, and packs no attributes", async () => {
    const odd = "name with \n newline, ütf and \u{1f600}";
    const reference = await h.push("tree", [
      [
        file("gone"),
        directory("opaque"),
        file("opaque/old"),
        directory("kept"),
        file("kept/below"),
        file("kept/hidden"),
      ],
      [
        file(".wh.gone", ""),
        file("opaque/.wh..wh..opq", ""),
        file("opaque/new"),
        file("kept/.wh.hidden", ""),
        file("sudo", "x", { mode: 0o4755, uid: 7, gid: 8 }),
        { name: "hard", type: "link", linkname: "sudo" },
        file("marked", "x", { pax: { "SCHILY.xattr.user.color": "blue" } }),
        file(odd),
        symlink("absolute", "/etc/passwd"),
      ],
    ]);
    const image = await h.store.acquire(reference, call);
    const root = await h.extract(image.erofsPath);
    const names = await readdir(root, { recursive: true });
    expect(names).not.toContain("gone");
    expect(names).not.toContain("opaque/old");
    expect(names).not.toContain("kept/hidden");
    expect(names.filter((name) => name.includes(".wh."))).toEqual([]);
    expect(names).toEqual(expect.arrayContaining(["opaque/new", "kept/below", odd]));
    const sudo = await lstat(join(root, "sudo"));
    expect([sudo.uid, sudo.gid, sudo.mtimeMs]).toEqual([7, 8, 1_600_000_000_000]);
    expect(await packedMode(image.erofsPath, "/sudo")).toBe(0o104755);
    // gVisor opens no file that has one.
    expect(await dumpErofs(image.erofsPath, "/marked")).toMatch(/Xattr size: 0/);
    expect(await readFile(join(root, "hard"), "utf8")).toBe("x");
    expect(await readlink(join(root, "absolute"))).toBe("/etc/passwd");
  });

  test("gives every image the mount points, symlinks in their place replaced", async () => {
    const reference = await h.push("mounts", [
      [
        symlink("tmp", "/var/tmp"),
        symlink("proc", "/"),
        directory("etc"),
        symlink("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
        directory("etc/hosts"),
        file("etc/hosts/inside"),
        file("etc/hostname", "kept\n"),
      ],
    ]);
    const root = await h.extract((await h.store.acquire(reference, call)).erofsPath);
    for (const name of ["proc", "sys", "dev", "tmp"]) expect((await lstat(join(root, name))).isDirectory()).toBe(true);
    expect((await lstat(join(root, "tmp"))).mode & 0o7777).toBe(0o1777);
    expect(await readFile(join(root, "etc/resolv.conf"), "utf8")).toBe("");
    expect(await readFile(join(root, "etc/hosts"), "utf8")).toBe("");
    expect(await readFile(join(root, "etc/hostname"), "utf8")).toBe("kept\n");
  });

  const up = "../".repeat(20);
  const attacks: readonly { name: string; layers: (outside: string) => readonly (readonly LayerEntry[])[] }[] = [
    { name: "dots in a name", layers: (outside) => [[file(`${up}${outside.slice(1)}/by-dots`)]] },
    { name: "an absolute name", layers: (outside) => [[file(`${outside}/by-name`)]] },
    { name: "an absolute symlink", layers: (outside) => [[symlink("door", outside), file("door/by-symlink")]] },
    {
      name: "an absolute symlink of a lower layer",
      layers: (outside) => [[symlink("door", outside)], [file("door/new")]],
    },
    { name: "a relative symlink", layers: (outside) => [[symlink("up", `${up}${outside.slice(1)}`), file("up/new")]] },
    { name: "a root that is a symlink", layers: (outside) => [[symlink(".", outside)], [file("new")]] },
    {
      name: "a whiteout behind a symlink",
      layers: (outside) => [[symlink("door", outside)], [file("door/.wh.victim", "")]],
    },
    { name: "an opaque symlink", layers: (outside) => [[symlink("up", outside)], [file("up/.wh..wh..opq", "")]] },
    { name: "a whiteout of dots", layers: () => [[file("a")], [file(".wh...", ""), file("b/.wh...", "")]] },
    {
      name: "a new mode through a symlink",
      layers: (outside) => [[symlink("m", `${outside}/victim`), file("m", "changed", { mode: 0o777 })]],
    },
    { name: "a symlink as /etc", layers: (outside) => [[symlink("etc", outside)]] },
    {
      name: "a symlink as /etc/resolv.conf",
      layers: (outside) => [[directory("etc"), symlink("etc/resolv.conf", `${outside}/victim`)]],
    },
    { name: "a symlink as /tmp", layers: (outside) => [[symlink("tmp", outside)]] },
  ];

  test.each(attacks)("keeps $name inside the image", async ({ name, layers }) => {
    const outside = await mkdtemp(join(tmpdir(), "atoll-outside-"));
    await writeFile(join(outside, "victim"), "untouched", { mode: 0o600 });
    const reference = await h.push(`hostile-${name.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`, layers(outside), {
      User: "root",
    });
    await h.store
      .acquire(reference, call)
      .catch((error: unknown) => expect(error).toMatchObject({ fault: "unusable" }));
    expect(await readdir(outside)).toEqual(["victim"]);
    expect(await readFile(join(outside, "victim"), "utf8")).toBe("untouched");
    expect((await lstat(join(outside, "victim"))).mode & 0o777).toBe(0o600);
    expect(await h.litter()).toEqual([]);
    await rm(outside, { recursive: true });
  });

  test("never shows a file of this machine through a hard link, a symlinked user database or a FIFO in its place", async () => {
    const outside = await mkdtemp(join(h.dir, "outside-"));
    await writeFile(join(outside, "passwd"), "thief:x:0:0::/:/bin/sh\n");
    const link = { name: "stolen", type: "link" as const, linkname: `${up}${outside.slice(1)}/passwd` };
    await expect(h.store.acquire(await h.push("stolen", [[link]]), call)).rejects.toMatchObject({ fault: "unusable" });
    const database = [directory("etc"), symlink("etc/passwd", `${outside}/passwd`)];
    await expect(h.store.acquire(await h.push("database", [database], { User: "thief" }), call)).rejects.toMatchObject({
      fault: "unusable",
    });
    const fifo = [directory("etc"), { name: "etc/passwd", type: "fifo" as const }];
    expect((await h.store.acquire(await h.push("fifo", [fifo]), call)).config.user.uid).toBe(0);
  });
});
