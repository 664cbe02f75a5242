import { readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { aptSourcesFor, DPKG_EXCLUDES } from "../base-image-recipe.ts";
import type { SetupContext } from "../step.ts";
import { runStepTool } from "./step-tool.ts";

/** What the tree says it is. */
export interface DebianRelease {
  readonly codename: string;
  readonly version: string;
}

const EMPTIED = [
  "var/lib/apt/lists",
  "var/cache",
  "var/log",
  "usr/share/man",
  "usr/share/info",
  "usr/share/locale",
  "usr/share/lintian",
  "debootstrap",
];
const BLANKED = ["etc/resolv.conf", "etc/hosts", "etc/hostname", "etc/machine-id"];

/** Turns a fresh debootstrap tree into the image's: no caches, no documentation, nothing of this machine. */
export async function finishBaseTree(root: string, { signal }: SetupContext): Promise<DebianRelease> {
  const release = await readRelease(root);
  const releasedAt = await releaseDate(root);
  for (const path of EMPTIED) await empty(join(root, path));
  for (const path of BLANKED) await writeFile(join(root, path), "", { mode: 0o644 });
  await rm(join(root, "debootstrap"), { recursive: true, force: true });
  await runStepTool(["find", join(root, "usr/share/doc"), "-type", "f", "!", "-name", "copyright", "-delete"], {
    signal,
    failure: "The base image cannot be trimmed",
  });
  await rm(join(root, "etc/apt/sources.list"), { force: true });
  await writeFile(join(root, "etc/apt/sources.list.d/debian.sources"), aptSourcesFor(release.codename));
  await writeFile(join(root, "etc/dpkg/dpkg.cfg.d/slim"), DPKG_EXCLUDES);
  await letPipInstall(root);
  await symlink("/usr/bin/python3", join(root, "usr/local/bin/python"));
  // What this build made gets the release's date: it is the same on every machine.
  if (releasedAt !== undefined) {
    await runStepTool(["find", root, "-newermt", releasedAt, "-exec", "touch", "-h", "-d", releasedAt, "{}", "+"], {
      signal,
      failure: "The base image cannot be dated",
    });
  }
  return release;
}

/** A sandbox is thrown away: pip may install beside the system's packages without a virtual environment. */
async function letPipInstall(root: string): Promise<void> {
  const lib = join(root, "usr/lib");
  for (const name of await readdir(lib)) {
    if (/^python3\.\d+$/.test(name)) await rm(join(lib, name, "EXTERNALLY-MANAGED"), { force: true });
  }
}

async function readRelease(root: string): Promise<DebianRelease> {
  const text = await readFile(join(root, "usr/lib/os-release"), "utf8");
  const value = (key: string): string => new RegExp(`^${key}="?([a-z0-9.]+)"?$`, "m").exec(text)?.[1] ?? "unknown";
  return { codename: value("VERSION_CODENAME"), version: value("VERSION_ID") };
}

async function releaseDate(root: string): Promise<string | undefined> {
  const lists = join(root, "var/lib/apt/lists");
  for (const name of await readdir(lists)) {
    if (!/_(InRelease|Release)$/.test(name)) continue;
    const date = /^Date: (.+)$/m.exec(await readFile(join(lists, name), "utf8"))?.[1];
    if (date !== undefined && !Number.isNaN(Date.parse(date))) return new Date(date).toISOString();
  }
  return undefined;
}

async function empty(dir: string): Promise<void> {
  for (const name of await readdir(dir).catch(() => [])) await rm(join(dir, name), { recursive: true, force: true });
}
