import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createCri } from "#installer/node/cri-client.ts";
import { podCount, startContainerd, type ContainerdLab } from "./containerd-lab.ts";

const call = () => ({ signal: AbortSignal.timeout(90_000), mustTry: true });
const loaded = async ({ socket }: ContainerdLab): Promise<readonly string[]> =>
  Object.keys((await createCri("/").status(socket, call())).runtimes);

/** What distributions and people write in between. */
const OTHERS = `
# Our own runtimes; do not touch.
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.crun]   # for tests
    runtime_type = "io.containerd.runc.v2"`;

describe("install", { timeout: 120_000 }, () => {
  test("brings gVisor to a containerd, keeps its configuration byte for byte, and repeats without a restart", async () => {
    await using lab = await startContainerd((needs) => needs + OTHERS);
    const before = await lab.config();
    const installed = await lab.installer().install(call());
    expect(installed).toMatchObject({ release: expect.stringMatching(/^release-\d{8}\.\d+$/), restarted: true });
    const after = await lab.config();
    expect(after.startsWith(before)).toBe(true);
    expect(await loaded(lab)).toEqual(expect.arrayContaining(["crun", "runsc"]));
    expect(await lab.installer().install(call())).toMatchObject({ restarted: false });
    expect([await lab.config(), lab.starts()]).toEqual([after, 2]);
    expect(await podCount(lab)).toBe(0);
  });

  test("is undone by uninstall, to the byte and without a trace", async () => {
    await using lab = await startContainerd((needs) => needs + OTHERS);
    const before = await lab.config();
    await lab.installer().install(call());
    await lab.installer().uninstall(call());
    expect(await lab.config()).toBe(before);
    expect(await loaded(lab)).not.toContain("runsc");
    await expect(readdir(lab.gvisorDir)).rejects.toThrow("ENOENT");
  });

  test("writes a file of its own where the configuration imports a folder", async () => {
    await using lab = await startContainerd((needs, dir) =>
      needs.replace("\n", `\nimports = ["${dir}/parts/*.toml"]\n`),
    );
    await mkdir(join(lab.dir, "parts"));
    const before = await lab.config();
    await lab.installer().install(call());
    expect(await lab.config()).toBe(before);
    expect(await readdir(join(lab.dir, "parts"))).toEqual(["90-atoll-gvisor.toml"]);
    expect(await loaded(lab)).toContain("runsc");
    await lab.installer().uninstall(call());
    expect(await readdir(join(lab.dir, "parts"))).toEqual([]);
  });

  test("works with a configuration of version 2", async () => {
    await using lab = await startContainerd((_, dir) => `${versionTwo(dir)}${RUNC_OF_TWO}`);
    await lab.installer().install(call());
    expect(await lab.config()).toContain('[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc]');
    expect(await loaded(lab)).toContain("runsc");
  });

  test("refuses where the section would change more than the runtimes, and says what", async () => {
    // Without any runtime containerd overlooks the snapshotter of a configuration of version 2, with one it does not.
    await using lab = await startContainerd((_, dir) => versionTwo(dir));
    const before = await lab.config();
    await expect(lab.installer().install(call())).rejects.toThrow(
      'plugins."io.containerd.cri.v1.images".snapshotter from "overlayfs" to "native"',
    );
    expect([await lab.config(), lab.starts()]).toEqual([before, 1]);
  });

  test("puts back a configuration that somebody else rewrote", async () => {
    await using lab = await startContainerd((needs) => needs);
    const rewritten = `${await lab.config()}# rewritten\n`;
    await lab.installer().install(call());
    await writeFile(lab.configPath, rewritten);
    expect(await lab.installer().install({ ...call(), mustTry: false })).toMatchObject({ restarted: true });
    expect((await lab.config()).startsWith(rewritten)).toBe(true);
  });

  test("restarts a containerd that has not read its section yet", async () => {
    await using lab = await startContainerd((needs) => needs);
    await lab.installer().install(call());
    const after = await lab.config();
    const [whole] = after.split("# >>> atoll");
    await writeFile(lab.configPath, whole ?? "");
    process.kill(Number((await pidsOf(lab))[0]), "SIGTERM");
    await expect.poll(() => loaded(lab).catch(() => ["runsc"]), { timeout: 20_000 }).not.toContain("runsc");
    await writeFile(lab.configPath, after);
    expect(await lab.installer().install(call())).toMatchObject({ restarted: true });
    expect(await loaded(lab)).toContain("runsc");
  });

  test("upgrades gVisor without a restart", async () => {
    await using lab = await startContainerd((needs) => needs);
    await lab.installer().install(call());
    await writeFile(join(lab.sourceDir, "notes"), "another build");
    expect(await lab.installer().install(call())).toMatchObject({ restarted: false });
    const releases = (await readdir(lab.gvisorDir)).filter((name) => name.startsWith("release-"));
    expect(releases).toHaveLength(1);
    expect(await readdir(join(lab.gvisorDir, "current"))).toContain("notes");
  });
});

describe("a failure", { timeout: 120_000 }, () => {
  test("of a shim that starts no pod puts everything back", async () => {
    await using lab = await startContainerd((needs) => needs + OTHERS);
    const before = await lab.config();
    const shim = join(lab.sourceDir, "containerd-shim-runsc-v1");
    await writeFile(shim, '#!/bin/sh\n[ "$1" = -v ] && exit 0\necho "no such luck" >&2\nexit 1\n');
    await expect(lab.installer().install(call())).rejects.toThrow(/gVisor does not work on this node.*put back/s);
    expect(await lab.config()).toBe(before);
    expect([await loaded(lab), lab.starts()]).toEqual([expect.not.arrayContaining(["runsc"]), 3]);
  });

  test("of an upgrade leaves the release that worked", async () => {
    await using lab = await startContainerd((needs) => needs);
    await lab.installer().install(call());
    const [config, current] = [await lab.config(), await currentOf(lab)];
    await writeFile(join(lab.sourceDir, "containerd-shim-runsc-v1"), '#!/bin/sh\n[ "$1" = -v ] && exit 0\nexit 1\n');
    await expect(lab.installer().install(call())).rejects.toThrow("put back");
    expect([await lab.config(), await currentOf(lab), lab.starts()]).toEqual([config, current, 2]);
  });

  test("of gVisor's programs on this node is found before anything is changed", async () => {
    await using lab = await startContainerd((needs) => needs);
    const before = await lab.config();
    const runsc = join(lab.sourceDir, "runsc");
    await writeFile(runsc, '#!/bin/sh\n[ "$PWD" = / ] && exit 1\necho "runsc version release-20990101.0"\n');
    await chmod(runsc, 0o755);
    await expect(lab.installer().install(call())).rejects.toThrow("gVisor does not run on this node");
    expect([await lab.config(), lab.starts()]).toEqual([before, 1]);
  });

  test("to know how containerd is restarted leaves everything as it is", async () => {
    await using lab = await startContainerd((needs) => needs);
    const before = await lab.config();
    await expect(lab.installer({ restart: "auto" }).install(call())).rejects.toThrow("ATOLL_CONTAINERD_RESTART=signal");
    expect([await lab.config(), lab.starts()]).toEqual([before, 1]);
  });

  test.each([
    ["that containerd cannot read", "version = 3\n[broken", "containerd itself cannot read it"],
    ["of version 1", "[plugins.cri]\n  sandbox_image = 'x'\n", "config migrate"],
    [
      "in which Kubernetes is switched off",
      'version = 3\ndisabled_plugins = ["io.containerd.cri.v1.runtime"]\n',
      "does not serve Kubernetes",
    ],
  ])("for a configuration %s changes nothing", async (_, text, why) => {
    await using lab = await startContainerd((needs) => needs);
    await writeFile(lab.configPath, text);
    await expect(lab.installer({ socket: lab.socket }).install(call())).rejects.toThrow(why);
    expect([await lab.config(), lab.starts()]).toEqual([text, 1]);
  });
});

test("a section that somebody else wrote is used as it is when it will do", { timeout: 120_000 }, async () => {
  await using lab = await startContainerd(
    (needs, dir) => `${needs}
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc]
  runtime_type = "io.containerd.runsc.v1"
  runtime_path = "${dir}/source/containerd-shim-runsc-v1"
  pod_annotations = ["dev.gvisor.*"]
  container_annotations = ["dev.gvisor.*"]
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc.options]
    TypeUrl = "io.containerd.runsc.v1.options"
    ConfigPath = "${dir}/runsc.toml"
`,
  );
  const toml = join(lab.dir, "runsc.toml");
  await writeFile(toml, `binary_name = "${lab.sourceDir}/runsc"\n[runsc_config]\n`);
  await expect(lab.installer().install(call())).rejects.toThrow('allow-rootfs-tar-annotation = "true"');
  const flags = ["allow-rootfs-tar-annotation=true", "qdisc-tbf-rate=1000000000000", "qdisc-tbf-burst=4294967295"];
  const lines = flags.map((flag) => flag.replace(/=(.*)/, ' = "$1"\n')).join("");
  await writeFile(toml, `${await readFile(toml, "utf8")}${lines}`);
  const before = await lab.config();
  expect(await lab.installer().install(call())).toEqual({ restarted: false });
  expect([await lab.config(), lab.starts()]).toEqual([before, 1]);
});

async function currentOf({ gvisorDir }: ContainerdLab): Promise<readonly string[]> {
  return readdir(join(gvisorDir, "current"));
}

async function pidsOf({ configPath }: ContainerdLab): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return pids.filter((_, index) => (texts[index] ?? "").includes(`containerd\0--config\0${configPath}`));
}

const RUNC_OF_TWO = `
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`;

function versionTwo(dir: string): string {
  const plugin = "io.containerd.grpc.v1.cri";
  return `version = 2
root = "${dir}/root"
state = "${dir}/state"
[grpc]
  address = "${dir}/run/containerd.sock"
[plugins."${plugin}"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."${plugin}".containerd]
    snapshotter = "native"
  [plugins."${plugin}".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${dir}/cni"
`;
}
