import { parse } from "smol-toml";
import { expect, test } from "vitest";
import { cgroupDriverOf } from "./cgroup-driver.ts";

const two = "plugins.'io.containerd.grpc.v1.cri'.containerd";
const three = "plugins.'io.containerd.cri.v1.runtime'.containerd";

test.each([
  ["runc's setting", `[${three}.runtimes.runc.options]\nSystemdCgroup = true`, "cgroupfs", "systemd"],
  ["runc's setting in version 2", `[${two}.runtimes.runc.options]\nSystemdCgroup = false`, "systemd", "cgroupfs"],
  [
    "the default runtime's, not runc's",
    `[${three}]\ndefault_runtime_name = "nvidia"\n[${three}.runtimes.nvidia.options]\nSystemdCgroup = true\n[${three}.runtimes.runc.options]\nSystemdCgroup = false`,
    undefined,
    "systemd",
  ],
  ["kubelet's where containerd says nothing", "", "systemd", "systemd"],
  ["containerd's own default where nobody does", "", undefined, "cgroupfs"],
])("cgroupDriverOf goes by %s", (_, toml, kubelet, driver) => {
  expect(cgroupDriverOf({ containerd: parse(toml), kubelet })).toBe(driver);
});
