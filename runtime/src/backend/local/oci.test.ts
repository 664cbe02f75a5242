import { describe, expect, it } from "vitest";
import { agentSpec, checkpointNameOf, resourcesOf, userSpec, type BootPaths, type ContainerPlan } from "./oci.ts";

const paths: BootPaths = {
  netnsPath: "/run/netns/a-0",
  hostsFile: "/b/etc/hosts",
  resolvFile: "/b/etc/resolv.conf",
  hostnameFile: "/b/etc/hostname",
  agentDir: "/r/agents/b",
  upperDir: "/b/upper",
};
const plan: ContainerPlan = {
  args: ["sleep", "infinity"],
  env: ["PATH=/bin"],
  cwd: "/",
  user: { uid: 1000, gid: 1000 },
  image: { erofsPath: "/i/x.erofs", emptyRootDir: "/i/empty" },
  storageBytes: 1024,
};

describe("userSpec()", () => {
  const spec = userSpec(paths, { ...plan, rootId: "b-r", index: 0, holdFile: "/h/atoll-hold" });

  it("never lets a container trace, mount or open raw sockets", () => {
    for (const set of Object.values(spec.process.capabilities)) {
      for (const power of ["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_SYS_MODULE"]) {
        expect(set).not.toContain(power);
      }
    }
  });

  it("shares the process ids and the network of the boot, and nothing writable of the host", () => {
    expect(spec.linux.namespaces.map(({ type }) => type)).not.toContain("pid");
    expect(spec.linux.namespaces).toContainEqual({ type: "network", path: paths.netnsPath });
    for (const mount of spec.mounts.filter(({ type }) => type === "bind")) expect(mount.options).toContain("ro");
  });

  it("names the container for checkpoints, and fills its layer from an archive of that name only", () => {
    const name = spec.annotations["io.kubernetes.cri.container-name"] ?? "";
    expect(name).toBe(checkpointNameOf(0));
    expect(Object.keys(spec.annotations).join()).not.toContain("dev.gvisor.tar");
    const image = { ...plan.image, upperTarPath: "/i/x.upper.tar" };
    const restored = userSpec(paths, { ...plan, image, rootId: "b-r", index: 0, holdFile: "/h/atoll-hold" });
    expect(restored.annotations[`dev.gvisor.tar.rootfs.upper.${name}`]).toBe("/i/x.upper.tar");
  });

  it("bounds the writable layer and lays it on disk", () => {
    expect(spec.annotations["dev.gvisor.spec.rootfs.options"]).toBe("size=1024");
    expect(spec.annotations["dev.gvisor.spec.rootfs.overlay"]).toBe("dir=/b/upper");
  });
});

describe("agentSpec()", () => {
  it("holds every capability that a container may have, so that commands get their container's", () => {
    const limits = { cgroupsPath: "/atoll/b", resources: {} };
    const agent = agentSpec(paths, plan, limits).process.capabilities.bounding;
    for (let index = 0; index < 16; index++) {
      const user = userSpec(paths, { ...plan, rootId: "b-r", index, holdFile: "/h/atoll-hold" }).process.capabilities
        .bounding;
      expect(agent).toEqual(expect.arrayContaining([...user]));
    }
  });
});

describe("resourcesOf()", () => {
  it.each([
    [
      { cpuMillis: 500, memoryBytes: 1024 },
      { memory: { limit: 1024 }, cpu: { quota: 50_000, period: 100_000 }, pids: { limit: 9 } },
    ],
    [{ cpuMillis: 1 }, { cpu: { quota: 1000, period: 100_000 }, pids: { limit: 9 } }],
    [{}, { pids: { limit: 9 } }],
  ])("renders %j", (shape, resources) => {
    expect(resourcesOf(shape, 9)).toEqual(resources);
  });
});
