import { parse } from "smol-toml";
import { expect, test } from "vitest";
import { missingRunscFlags, renderRunscConfig, runscFlags } from "./runsc-config.ts";

test.each(["systemd", "cgroupfs"] as const)("renderRunscConfig for %s holds all flags and lacks none", (driver) => {
  const config = parse(renderRunscConfig("/opt/x/runsc", driver));
  expect(config).toEqual({ binary_name: "/opt/x/runsc", runsc_config: runscFlags(driver) });
  expect(missingRunscFlags(config, driver)).toEqual([]);
  expect(missingRunscFlags(config, driver === "systemd" ? "cgroupfs" : "systemd")).toHaveLength(1);
});

test("missingRunscFlags names what a file by hand lacks, and takes an absent cgroup setting for cgroupfs", () => {
  const config = parse('[runsc_config]\nallow-rootfs-tar-annotation = "true"\nqdisc-tbf-rate = "5"\n');
  expect(missingRunscFlags(config, "cgroupfs")).toEqual([
    'qdisc-tbf-rate = "1000000000000"',
    'qdisc-tbf-burst = "4294967295"',
  ]);
});
