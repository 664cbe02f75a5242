import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildImage } from "../../../images/build.ts";
import { LAYERS } from "../../../images/node/assemble.ts";
import { writeLayout } from "../../../images/node/oci-image.ts";
import { openTestbed } from "../../harness/testbed.ts";

const run = promisify(execFile);
const REPOSITORY = join(import.meta.dirname, "../../..");

let work = "";
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "images-"));
});
afterAll(() => rm(work, { recursive: true, force: true }));

test.each(["gateway", "sidecar", "installer"] as const)(
  "%s: equal sources give equal images, layer by layer",
  { timeout: 120_000 },
  async (name) => {
    const options = { gvisorDir: (await openTestbed()).layout.gvisor };
    const [one, two] = [await buildImage(name, options), await buildImage(name, options)];
    expect(two.layers.map(({ digest }) => digest)).toEqual(one.layers.map(({ digest }) => digest));
    expect(two.manifest.digest).toBe(one.manifest.digest);
    expect(one.layers).toHaveLength(LAYERS.length);
  },
);

test("gateway and sidecar share their runtime's layer", { timeout: 120_000 }, async () => {
  const [gateway, sidecar] = [await buildImage("gateway"), await buildImage("sidecar")];
  expect(gateway.layers[0]?.digest).toBe(sidecar.layers[0]?.digest);
});

test("a Dockerfile and the image writer make the same files and the same defaults", { timeout: 600_000 }, async () => {
  const built = await buildWithBuildah("sidecar");
  await writeLayout(join(work, "written"), await buildImage("sidecar"), "it");
  const written = await unpack(join(work, "written"));
  const ours = await unpack(built);
  expect(ours.files).toEqual(written.files);
  expect(ours.config).toEqual(written.config);
});

/** Runs the Dockerfile with this machine's own tools in place of a base image with Node and a compiler. */
async function buildWithBuildah(name: string): Promise<string> {
  const storage = ["--storage-driver", "vfs", "--root", join(work, "storage"), "--runroot", join(work, "run")];
  const buildah = (...args: string[]): Promise<unknown> => run("buildah", [...storage, ...args], { cwd: REPOSITORY });
  await layMachineImage(join(work, "machine"));
  await buildah("bud", "--isolation", "chroot", "-t", "machine", join(work, "machine"));
  const mounts = ["/usr:/usr:ro", "/etc/alternatives:/etc/alternatives:ro", "/etc/ssl:/etc/ssl:ro"];
  mounts.push(`${dirname(dirname(process.execPath))}:/opt/node:ro`, `${join(homedir(), ".npm")}:/root/.npm`);
  const npmrc = join(homedir(), ".npmrc");
  if (existsSync(npmrc)) mounts.push(`${npmrc}:/root/.npmrc:ro`);
  const volumes = mounts.flatMap((mount) => ["--volume", mount]);
  const file = ["-f", `images/${name}/Dockerfile`, "--build-arg", "BUILD_IMAGE=localhost/machine"];
  await buildah(
    "bud",
    "--isolation",
    "chroot",
    "--pull-never",
    "--timestamp",
    "0",
    ...volumes,
    ...file,
    "-t",
    name,
    ".",
  );
  await buildah("push", `localhost/${name}`, `oci:${join(work, "built")}:it`);
  return join(work, "built");
}

async function layMachineImage(dir: string): Promise<void> {
  for (const folder of ["usr", "etc", "tmp", "root", "opt/node", "proc", "dev", "sys", "var/tmp"])
    await mkdir(join(dir, "root", folder), { recursive: true });
  for (const name of ["bin", "sbin", "lib", "lib64"]) await symlink(`usr/${name}`, join(dir, "root", name));
  await writeFile(join(dir, "root/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  const { stdout } = await run("npm", ["config", "get", "globalconfig"]);
  const environment = `PATH=/opt/node/bin:/usr/bin:/bin NPM_CONFIG_GLOBALCONFIG=${stdout.trim()}`;
  await writeFile(join(dir, "Dockerfile"), `FROM scratch\nCOPY root/ /\nENV ${environment}\n`);
}

interface Unpacked {
  readonly files: Readonly<Record<string, string>>;
  readonly config: object;
}

async function unpack(layout: string): Promise<Unpacked> {
  const blob = async (digest: string): Promise<string> => join(layout, "blobs", digest.replace(":", "/"));
  const json = async (path: string): Promise<Json> => JSON.parse(await readFile(path, "utf8")) as Json;
  const index = await json(join(layout, "index.json"));
  const manifest = await json(await blob(index.manifests?.[0]?.digest ?? ""));
  const root = await mkdtemp(join(work, "root-"));
  for (const { digest } of manifest.layers ?? []) await run("tar", ["xf", await blob(digest), "-C", root]);
  const { config } = await json(await blob(manifest.config?.digest ?? ""));
  const labels = Object.entries(config?.Labels ?? {}).filter(([name]) => !name.startsWith("io.buildah"));
  return { files: await describe(root), config: { ...config, Labels: Object.fromEntries(labels) } };
}

interface Json {
  readonly manifests?: readonly { readonly digest: string }[];
  readonly layers?: readonly { readonly digest: string }[];
  readonly config?: { readonly digest?: string; readonly Labels?: Readonly<Record<string, string>> };
}

/** Kind, mode, owner and content of each file. */
async function describe(root: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const path of (await readdir(root, { recursive: true })).toSorted()) {
    const stat = await lstat(join(root, path));
    const content = stat.isSymbolicLink()
      ? await readlink(join(root, path))
      : stat.isFile()
        ? createHash("sha256")
            .update(await readFile(join(root, path)))
            .digest("hex")
        : "folder";
    files[path] = `${(stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid} ${content}`;
  }
  return files;
}
