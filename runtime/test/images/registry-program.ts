import { execFile } from "node:child_process";
import { access, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const KEPT = join(tmpdir(), "atoll-test-registry");

/**
 * Path of Debian's `docker-registry`. A missing one is fetched and unpacked beside the system, not
 * installed: its package would start a server on every machine that runs the tests.
 */
export async function registryProgram(): Promise<string> {
  const places = ["/usr/bin/docker-registry", join(KEPT, "usr/bin/docker-registry")];
  for (const place of places) {
    if (
      await access(place).then(
        () => true,
        () => false,
      )
    )
      return place;
  }
  const work = await mkdtemp(`${KEPT}-`);
  await run("apt-get", ["download", "docker-registry"], { cwd: work });
  const [archive = ""] = await readdir(work);
  await run("dpkg-deb", ["--extract", join(work, archive), join(work, "tree")]);
  await rm(KEPT, { recursive: true, force: true });
  await rename(join(work, "tree"), KEPT);
  await rm(work, { recursive: true });
  return join(KEPT, "usr/bin/docker-registry");
}
