import { expect, test } from "vitest";
import { addressOf, configPathOf, isDaemon, unitOf } from "./containerd-process.ts";

test.each([
  [["containerd"], "/etc/containerd/config.toml"],
  [["/usr/bin/containerd", "--config", "/x/config.toml"], "/x/config.toml"],
  [["containerd", "-c=/y.toml", "-a", "/run/k3s/containerd/containerd.sock"], "/y.toml"],
  [["containerd", "-c", "here.toml"], "/srv/here.toml"],
])("configPathOf %j is %s", (args, path) => {
  expect(configPathOf({ args, cwd: "/srv" })).toBe(path);
});

test("addressOf reads the socket of a daemon and of a shim", () => {
  expect(addressOf({ args: ["containerd", "-c", "/y.toml", "-a", "/run/k3s/containerd/containerd.sock"] })).toBe(
    "/run/k3s/containerd/containerd.sock",
  );
  expect(addressOf({ args: ["/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-address", "/run/c.sock"] })).toBe(
    "/run/c.sock",
  );
  expect(addressOf({ args: ["containerd"] })).toBeUndefined();
});

test.each([
  [["containerd"], true],
  [["containerd", "--config", "/x.toml", "--log-level=debug"], true],
  [["containerd", "--config", "/x.toml", "config", "dump"], false],
  [["containerd", "config", "default"], false],
  [["containerd", "--version"], false],
  [["containerd", "publish", "--topic", "/x"], false],
])("isDaemon %j is %s", (args, is) => {
  expect(isDaemon(args)).toBe(is);
});

test.each([
  ["0::/system.slice/containerd.service\n", "containerd.service"],
  ["12:cpu,cpuacct:/kubepods\n1:name=systemd:/system.slice/k3s-agent.service\n0::/\n", "k3s-agent.service"],
  // As a pod with a cgroup namespace sees it.
  ["0::/../../../system.slice/rke2-server.service\n", "rke2-server.service"],
  ["4:memory:/system.slice/other.service\n1:name=systemd:/\n0::/user.slice\n", undefined],
  ["", undefined],
])("unitOf %j is %s", (cgroup, unit) => {
  expect(unitOf({ cgroup })).toBe(unit);
});
