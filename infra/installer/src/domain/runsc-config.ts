export type CgroupDriver = "systemd" | "cgroupfs";

/** Upper bounds of what a sandbox's own egress rate may be: gVisor takes such an annotation only below a bound. */
const CEILINGS = { "qdisc-tbf-rate": "1000000000000", "qdisc-tbf-burst": "4294967295" } as const;

/** Flags that sandboxes count on, as runsc.toml has them. */
export function runscFlags(driver: CgroupDriver): Readonly<Record<string, string>> {
  return {
    "allow-rootfs-tar-annotation": "true",
    ...CEILINGS,
    "systemd-cgroup": driver === "systemd" ? "true" : "false",
  };
}

/** The file that the shim reads for each sandbox. `runscPath` is absolute: another runsc on the node's search path is not meant. */
export function renderRunscConfig(runscPath: string, driver: CgroupDriver): string {
  const flags = Object.entries(runscFlags(driver)).map(([name, value]) => `  ${name} = ${JSON.stringify(value)}`);
  return [`binary_name = ${JSON.stringify(runscPath)}`, "[runsc_config]", ...flags, ""].join("\n");
}

/** What somebody else's runsc.toml lacks for sandboxes to work; empty = nothing. */
export function missingRunscFlags(config: unknown, driver: CgroupDriver): readonly string[] {
  const flags = record(record(config)["runsc_config"]);
  return Object.entries(runscFlags(driver))
    .filter(([name, value]) => (flags[name] ?? (name === "systemd-cgroup" ? "false" : undefined)) !== value)
    .map(([name, value]) => `${name} = "${value}"`);
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
