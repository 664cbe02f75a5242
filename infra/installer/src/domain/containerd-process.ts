/** How the node's containerd runs, as /proc tells. */
export interface ContainerdProcess {
  readonly pid: number;
  readonly parentPid: number;
  /** Path of its program, on the node. */
  readonly program: string;
  readonly args: readonly string[];
  /** Its working directory. */
  readonly cwd: string;
  /** Text of /proc/PID/cgroup. */
  readonly cgroup: string;
}

const DEFAULT_CONFIG = "/etc/containerd/config.toml";

/** The configuration file it was started with. */
export function configPathOf({ args, cwd }: Pick<ContainerdProcess, "args" | "cwd">): string {
  const path = optionOf(args, ["-c", "--config", "-config", "--c"]) ?? DEFAULT_CONFIG;
  return path.startsWith("/") ? path : `${cwd.replace(/\/$/, "")}/${path}`;
}

/** The socket named on its command line; undefined = the configuration names it. */
export function addressOf({ args }: Pick<ContainerdProcess, "args">): string | undefined {
  return optionOf(args, ["-a", "--address", "-address", "--a"]);
}

/** The systemd unit it belongs to: also of k3s and RKE2, whose services start containerd and write its configuration. */
export function unitOf({ cgroup }: Pick<ContainerdProcess, "cgroup">): string | undefined {
  for (const line of cgroup.split("\n")) {
    // hierarchy:controllers:path; only systemd's own hierarchy and the unified one mirror its units.
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers !== "" && controllers !== "name=systemd") continue;
    const unit = (path ?? "").split("/").findLast((part) => part.endsWith(".service"));
    if (unit !== undefined) return unit;
  }
  return undefined;
}

/** Whether arguments are those of the daemon and not of a subcommand such as `containerd config dump`. */
export function isDaemon(args: readonly string[]): boolean {
  // Each option but these takes a value, in the same argument or the next.
  const words = args.slice(1).filter((argument, index, all) => {
    const before = all[index - 1] ?? "";
    const isValue = before.startsWith("-") && !before.includes("=") && !/^--?(help|h|version|v)$/.test(before);
    return !argument.startsWith("-") && !isValue;
  });
  return words.length === 0 && !args.some((argument) => /^--?(help|h|version|v)$/.test(argument));
}

function optionOf(args: readonly string[], names: readonly string[]): string | undefined {
  for (const [index, argument] of args.entries()) {
    const [name, ...rest] = argument.split("=");
    if (name === undefined || !names.includes(name)) continue;
    return rest.length > 0 ? rest.join("=") : args[index + 1];
  }
  return undefined;
}
