import { parse } from "smol-toml";
import { cgroupDriverOf } from "./domain/cgroup-driver.ts";
import { configTargets, type ConfigTarget } from "./domain/config-target.ts";
import { addressOf, configPathOf, type ContainerdProcess } from "./domain/containerd-process.ts";
import { hasBlock, splitBlock } from "./domain/marked-block.ts";
import type { ConfigFacts } from "./domain/plan-config.ts";
import type { CgroupDriver } from "./domain/runsc-config.ts";
import { at } from "./domain/toml-path.ts";
import type { Call, Host } from "./ports.ts";
import { messageOf, RefusedError } from "./refused-error.ts";

export interface LookOptions {
  /** Absent = found out. */
  readonly configPath?: string;
  readonly socket?: string;
  readonly cgroupDriver?: CgroupDriver;
}

/** What the installer decides by. */
export interface NodeFacts {
  readonly process: ContainerdProcess;
  readonly socket: string;
  readonly config: ConfigFacts;
  /** Every file that could hold our section. */
  readonly targets: readonly Pick<ConfigFacts, "path" | "target" | "targetText">[];
  readonly cgroupDriver: CgroupDriver;
}

const KUBELET_CONFIG = "/var/lib/kubelet/config.yaml";
const DEFAULT_SOCKET = "/run/containerd/containerd.sock";

/** Reads the node's containerd, its configuration and what it makes of it. */
export async function lookAtNode(host: Host, options: LookOptions, call: Call): Promise<NodeFacts> {
  const process = await findContainerd(host, options, call);
  const path = options.configPath ?? configPathOf(process);
  const text = await host.readText(path);
  const effective = await effectiveConfig(host, process, path, call).catch((error: unknown) => {
    throw new RefusedError(`${path} stays as it is: containerd itself cannot read it: ${messageOf(error)}`, error);
  });
  const output = await host.run(process.pid, [process.program, "--version"], call);
  const majorVersion = Number(/\sv?(\d+)\.\d+\.\d+/.exec(output)?.[1] ?? 0);
  const possible = configTargets(path, text ?? "", { config: parsed(text), mergesImports: majorVersion >= 2 });
  const read = async (target: ConfigTarget) => ({ path, target, targetText: await host.readText(target.path) });
  const [best, ...others] = await Promise.all([read(possible[0]), ...possible.slice(1).map(read)]);
  const targets = [best, ...others];
  const chosen = targets.find(({ targetText }) => hasBlock(targetText ?? "")) ?? best;
  const kubelet = /^cgroupDriver:\s*["']?(\w+)/m.exec((await host.readText(KUBELET_CONFIG)) ?? "")?.[1];
  return {
    process,
    socket: options.socket ?? socketOf(process, effective),
    config: { ...chosen, text, effective, majorVersion },
    targets,
    cgroupDriver: options.cgroupDriver ?? cgroupDriverOf({ containerd: effective, kubelet }),
  };
}

/** What containerd makes of all its files, without starting. */
export async function effectiveConfig(
  host: Host,
  { pid, program }: ContainerdProcess,
  path: string,
  call: Call,
): Promise<unknown> {
  const hasFile = (await host.readText(path)) !== undefined;
  const command = hasFile ? [program, "--config", path, "config", "dump"] : [program, "config", "default"];
  return parse(await host.run(pid, command, call));
}

/** The daemon that serves this node's kubelet. */
async function findContainerd(host: Host, options: LookOptions, call: Call): Promise<ContainerdProcess> {
  const running = await host.containerds();
  const named =
    options.configPath === undefined ? running : running.filter((one) => configPathOf(one) === options.configPath);
  const [first, ...rest] = named;
  if (first === undefined) throw new RefusedError("No containerd runs on this node.");
  if (rest.length === 0) return first;
  const own = options.socket ?? (await host.ownSocket());
  for (const one of named) {
    const effective = await effectiveConfig(host, one, configPathOf(one), call).catch(() => undefined);
    if (own !== undefined && socketOf(one, effective) === own) return one;
  }
  const paths = named.map(configPathOf).join(", ");
  throw new RefusedError(
    `Several containerd run on this node (${paths}): set ATOLL_CONTAINERD_CONFIG to one of these files.`,
  );
}

function socketOf(process: ContainerdProcess, effective: unknown): string {
  const address =
    addressOf(process) ??
    at(effective, ["plugins", "io.containerd.server.v1.grpc", "address"]) ??
    at(effective, ["grpc", "address"]);
  return typeof address === "string" && address !== "" ? address : DEFAULT_SOCKET;
}

/** Undefined when it cannot be parsed: the plan then says why. */
function parsed(text: string | undefined): unknown {
  try {
    return parse(splitBlock(text ?? "").rest);
  } catch {
    return undefined;
  }
}
