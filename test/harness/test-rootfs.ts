import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * The base image `atoll/debian` as a directory, for tests that run gVisor without Atoll.
 * Taken out of the installed image once; `ATOLL_TEST_ROOTFS` names another directory.
 */
export function testRootfs(): string {
  const given = process.env["ATOLL_TEST_ROOTFS"];
  if (given !== undefined) return given;
  const home = process.env["ATOLL_HOME"] ?? "/var/lib/atoll";
  const image = readdirSync(join(home, "images")).find((name) => name.endsWith(".erofs"));
  if (image === undefined) throw new Error(`There is no image in ${home}; run ./atoll up first`);
  const rootfs = join(home, "test", image.slice(0, 16));
  if (existsSync(rootfs)) return rootfs;
  mkdirSync(join(home, "test"), { recursive: true });
  const part = `${rootfs}.${process.pid}`;
  execFileSync("fsck.erofs", [`--extract=${part}`, "--preserve", join(home, "images", image)], { stdio: "ignore" });
  try {
    renameSync(part, rootfs);
  } catch (error) {
    // Another test was faster.
    rmSync(part, { recursive: true, force: true });
    if (!existsSync(rootfs)) throw error;
  }
  return rootfs;
}
