import * as z from "zod";
import { planNetwork } from "#core/network.ts";
import { findClash, linkOf, type NetConfig } from "../network.ts";
import { baseRules, policyRules } from "../nft.ts";
import { missingPrograms, mustRun, runCommand } from "./net-command.ts";
import { hasForceForwarding, readHost } from "./net-host.ts";

/** What this machine can do for the sandboxes' network; data for people who ask what is wrong. */
export interface NetCapabilities {
  readonly missingPrograms: readonly string[];
  /** The kernel takes the whole ruleset. */
  readonly rules: boolean;
  /** `shape`: packets over the rate wait; `drop`: the kernel has no token bucket queue, they are lost. */
  readonly rateLimit: "shape" | "drop";
  readonly ipv6: boolean;
  /** IPv6 is forwarded per interface; otherwise the whole host becomes an IPv6 router. */
  readonly ipv6PerInterface: boolean;
  /** One sentence when the address pool cannot be used. */
  readonly clash?: string;
  /** Chains of other software that drop forwarded packets by default, and with them those of sandboxes. */
  readonly foreignDrops: readonly string[];
}

const Chains = z.object({
  nftables: z.array(
    z.looseObject({
      chain: z
        .object({
          family: z.string(),
          table: z.string(),
          name: z.string(),
          hook: z.string().optional(),
          policy: z.string().optional(),
        })
        .optional(),
    }),
  ),
});

/** Tries things out in namespaces that end with the trial; the host's own network is only read. */
export async function netCapabilities(config: NetConfig): Promise<NetCapabilities> {
  const missing = await missingPrograms();
  if (missing.length > 0) {
    const none = { rules: false, ipv6: false, ipv6PerInterface: false, foreignDrops: [] };
    return { missingPrograms: missing, rateLimit: "drop", ...none };
  }
  const [rules, shapes, host, ipv6PerInterface, foreignDrops] = await Promise.all([
    trial("nft", ["-f", "-"], sampleRules(config)),
    trial("tc", "qdisc add dev lo root tbf rate 1mbit burst 32kb limit 64kb".split(" "), ""),
    readHost(config),
    hasForceForwarding(),
    findForeignDrops(config),
  ]);
  const clash = findClash(config, host.routes);
  return {
    missingPrograms: missing,
    rules,
    rateLimit: shapes ? "shape" : "drop",
    ipv6: host.linkOptions.ipv6,
    ipv6PerInterface,
    ...(clash === undefined ? {} : { clash: `${clash.pool} overlaps the route to ${clash.route.dst}.` }),
    foreignDrops,
  };
}

async function trial(command: string, args: readonly string[], input: string): Promise<boolean> {
  return (await runCommand("unshare", ["--net", "--", command, ...args], input)).exitCode === 0;
}

/** Every kind of rule that a policy can have. */
function sampleRules(config: NetConfig): string {
  const spec = { allowedEgressCIDRs: ["0.0.0.0/0"], nameservers: ["9.9.9.9"], egressRateLimitBytesPerSecond: 1000 };
  const plan = planNetwork(spec, { clusterResolvers: [] });
  return (
    baseRules(config) +
    policyRules(config, linkOf(config, 0), plan, { police: { bytesPerSecond: 1000, burstBytes: 131_072 } })
  );
}

async function findForeignDrops(config: NetConfig): Promise<string[]> {
  const { nftables } = Chains.parse(JSON.parse(await mustRun("nft", ["-j", "list", "chains"])));
  return nftables.flatMap(({ chain }) => {
    const drops = chain?.hook === "forward" && chain.policy === "drop" && chain.table !== config.name;
    return drops ? [`${chain.family} ${chain.table} ${chain.name}`] : [];
  });
}
