import type { CgroupDriver } from "./runsc-config.ts";
import { at } from "./toml-path.ts";

export interface CgroupFacts {
  /** What containerd makes of all its configuration (`containerd config dump`), parsed. */
  readonly containerd: unknown;
  /** `cgroupDriver` in the kubelet's configuration file; undefined when there is none. */
  readonly kubelet: string | undefined;
}

/**
 * How pods' control groups are made on this node. kubelet and containerd's default runtime agree
 * wherever pods run at all, so containerd's word is taken; kubelet's where containerd says nothing.
 */
export function cgroupDriverOf({ containerd, kubelet }: CgroupFacts): CgroupDriver {
  for (const plugin of ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]) {
    const runtimes = at(containerd, ["plugins", plugin, "containerd"]);
    const name = at(runtimes, ["default_runtime_name"]);
    const usesSystemd = at(runtimes, [
      "runtimes",
      typeof name === "string" ? name : "runc",
      "options",
      "SystemdCgroup",
    ]);
    if (typeof usesSystemd === "boolean") return usesSystemd ? "systemd" : "cgroupfs";
  }
  return kubelet === "systemd" ? "systemd" : "cgroupfs";
}
