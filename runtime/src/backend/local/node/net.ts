import * as z from "zod";
import type { Log } from "#core/log.ts";
import type { NetworkPlan } from "#core/network.ts";
import { ProblemError } from "#core/problem-error.ts";
import { guestBatch, hostBatch, shapeArguments, unshapeArguments } from "../link-commands.ts";
import {
  capacityOf,
  checkNetConfig,
  findClash,
  linkOf,
  lowestFreeIndex,
  type Link,
  type NetConfig,
} from "../network.ts";
import { baseRules, indexOfChain, policyRules, removePolicy, removeTable } from "../nft.ts";
import { missingPrograms, mustRun, runCommand } from "./net-command.ts";
import { configureLink, enableForwarding, linkIndexes, namespaceIndexes, readHost, type NetHost } from "./net-host.ts";

export type { Link, NetConfig } from "../network.ts";

export interface NetDeps {
  readonly log: Log;
}

/** The links of this machine's sandboxes and the rules for them. Methods throw ProblemError only. */
export interface Net {
  /** Puts the shared rules in place again; policies of living links stay. Repeatable, for instance after new interfaces came up. */
  init(): Promise<void>;
  /** A namespace with a link that gVisor can copy at boot; everything is denied on it from the first packet on. */
  attach(): Promise<Link>;
  /** Replaces the link's policy in one transaction; repeatable. */
  apply(link: Link, plan: NetworkPlan): Promise<void>;
  /** Removes link, policy, connections and namespace, whichever exist. The index is free afterwards. */
  detach(link: Link): Promise<void>;
  /** Every link of which anything exists on the host. */
  list(): Promise<Link[]>;
  /** Removes the shared rules, and with them every policy: for a host that shall run no sandboxes any more. */
  remove(): Promise<void>;
  /** Waits for what is under way; links and policies stay. */
  close(): Promise<void>;
}

/** Sets up the host for sandboxes; `unavailable` says what is in the way. */
export async function createNet(config: NetConfig, deps: NetDeps): Promise<Net> {
  const net = new NftNet(config, deps);
  await net.init();
  return net;
}

class NftNet implements Net {
  private readonly config: NetConfig;
  private readonly log: Log;
  private host: NetHost | undefined;
  private readonly used = new Set<number>();
  /** Links known to have no rate limit: for any other, one must be lifted first. */
  private readonly unshaped = new Set<number>();
  private canShape = true;
  private transactions: Promise<unknown> = Promise.resolve();

  constructor(config: NetConfig, deps: NetDeps) {
    this.config = config;
    this.log = deps.log;
  }

  async init(): Promise<void> {
    checkNetConfig(this.config);
    return explained("unavailable", "Cannot set up the network for sandboxes.", async () => {
      await requirePrograms();
      const host = await readHost(this.config);
      const clash = findClash(this.config, host.routes);
      if (clash !== undefined) throw clashProblem(clash);
      await enableForwarding(host, this.log);
      await this.installRules();
      this.host = host;
      for (const link of await this.list()) this.used.add(link.index);
    });
  }

  attach(): Promise<Link> {
    const index = lowestFreeIndex(this.used, capacityOf(this.config));
    const { host } = this;
    if (index === undefined || host === undefined) {
      return Promise.reject(
        new ProblemError("capacity-exhausted", "Cannot make another network link: the address pool is full."),
      );
    }
    this.used.add(index);
    return explained("start-failed", "Cannot make the network link of a sandbox.", async () => {
      const link = linkOf(this.config, index);
      try {
        await mustRun("ip", ["-batch", "-"], hostBatch(link, host.linkOptions));
        await configureLink(link.ifname, host.linkOptions);
        await mustRun("ip", ["-n", link.netns, "-batch", "-"], guestBatch(link, host.linkOptions));
      } catch (error) {
        await this.detach(link).catch((fault: unknown) =>
          this.log.warn("A broken network link stays", { link, fault }),
        );
        throw error;
      }
      this.unshaped.add(index);
      return link;
    });
  }

  apply(link: Link, plan: NetworkPlan): Promise<void> {
    return explained("start-failed", "Cannot apply the network policy of a sandbox.", async () => {
      const own = linkOf(this.config, link.index);
      const shaped = await this.shape(own, plan);
      const police = shaped || plan.rateLimit === undefined ? {} : { police: plan.rateLimit };
      await this.transact(policyRules(this.config, own, plan, police));
    });
  }

  detach(link: Link): Promise<void> {
    return explained("internal", "Cannot remove the network link of a sandbox.", async () => {
      const own = linkOf(this.config, link.index);
      await Promise.all([this.transact(removePolicy(this.config, own)), this.deleteLink(own)]);
      // Only now can no packet renew an entry; the next sandbox of this address must not inherit answers.
      await this.forgetConnections(own);
      // Last, so that a crash before it leaves something for list() to find.
      await this.deleteNamespace(own);
      this.unshaped.delete(own.index);
      this.used.delete(own.index);
    });
  }

  list(): Promise<Link[]> {
    return explained("internal", "Cannot list the network links of the sandboxes.", async () => {
      const sets = await Promise.all([linkIndexes(this.config), namespaceIndexes(this.config), this.policyIndexes()]);
      const indexes = [...new Set(sets.flatMap((set) => [...set]))].toSorted((a, b) => a - b);
      return indexes.map((index) => linkOf(this.config, index));
    });
  }

  remove(): Promise<void> {
    return explained("internal", "Cannot remove the network rules.", () => this.transact(removeTable(this.config)));
  }

  async close(): Promise<void> {
    await this.transactions;
  }

  /** A table of another version may not take the rules: then it is replaced, and each link denied until its policy is applied again. */
  private async installRules(): Promise<void> {
    const rules = baseRules(this.config);
    try {
      await this.transact(rules);
    } catch (error) {
      this.log.warn("Replacing the network rules of another version", { error });
      await this.transact(removeTable(this.config) + rules);
    }
  }

  /** One at a time: the kernel refuses a transaction that another one overtook. Repeated once, since a stranger's may. */
  private transact(rules: string): Promise<void> {
    const run = async (): Promise<void> => {
      const first = await runCommand("nft", ["-f", "-"], rules);
      if (first.exitCode !== 0) await mustRun("nft", ["-f", "-"], rules);
    };
    const result = this.transactions.then(run);
    this.transactions = result.catch(() => undefined);
    return result;
  }

  /** True when the limit of the plan, if any, is in force on the link; false when the kernel has no token bucket. */
  private async shape(link: Link, plan: NetworkPlan): Promise<boolean> {
    const { rateLimit } = plan;
    if (rateLimit !== undefined && this.canShape) {
      this.unshaped.delete(link.index);
      const result = await runCommand("tc", shapeArguments(link, rateLimit));
      if (result.exitCode === 0) return true;
      if (!/unknown|not found|No such file/i.test(result.stderr)) throw new Error(`tc failed: ${result.stderr.trim()}`);
      this.canShape = false;
      this.log.warn("The kernel has no token bucket queue; rate limits drop packets instead of delaying them");
    }
    if (!this.unshaped.has(link.index)) {
      await runCommand("tc", unshapeArguments(link));
      this.unshaped.add(link.index);
    }
    return false;
  }

  private async deleteLink(link: Link): Promise<void> {
    const exists = async (): Promise<boolean> => (await linkIndexes(this.config)).has(link.index);
    if (!(await exists())) return;
    const { exitCode, stderr } = await runCommand("ip", ["link", "del", link.ifname]);
    if (exitCode !== 0 && (await exists())) throw new Error(`ip failed: ${stderr.trim()}`);
  }

  private async deleteNamespace(link: Link): Promise<void> {
    const exists = async (): Promise<boolean> => (await namespaceIndexes(this.config)).has(link.index);
    if (!(await exists())) return;
    const { exitCode, stderr } = await runCommand("ip", ["netns", "del", link.netns]);
    if (exitCode !== 0 && (await exists())) throw new Error(`ip failed: ${stderr.trim()}`);
  }

  private async forgetConnections(link: Link): Promise<void> {
    const families = [
      ["-D", "-s", link.ipv4.guest],
      ["-D", "-f", "ipv6", "-s", link.ipv6.guest],
    ];
    const results = await Promise.all(families.map((args) => runCommand("conntrack", args)));
    // Nothing to delete is exit code 1 as well, but says so.
    const failed = results.find(
      ({ exitCode, stderr }) => exitCode !== 0 && !stderr.includes("flow entries have been deleted"),
    );
    if (failed !== undefined) throw new Error(`conntrack failed: ${failed.stderr.trim()}`);
  }

  private async policyIndexes(): Promise<Set<number>> {
    const chains = Chains.parse(JSON.parse(await mustRun("nft", ["-j", "list", "chains", "inet"])));
    const own = chains.nftables.flatMap(({ chain }) => (chain?.table === this.config.name ? [chain.name] : []));
    return new Set(own.flatMap((name) => indexOfChain(name) ?? []));
  }
}

const Chains = z.object({
  nftables: z.array(z.looseObject({ chain: z.object({ table: z.string(), name: z.string() }).optional() })),
});

function clashProblem({ pool, route }: { pool: string; route: { dst: string; dev: string } }): ProblemError {
  return new ProblemError(
    "unavailable",
    `Cannot use ${pool} for sandboxes: the host's route to ${route.dst} through ${route.dev} overlaps it; set another pool.`,
  );
}

async function requirePrograms(): Promise<void> {
  const missing = await missingPrograms();
  if (missing.length === 0) return;
  throw new ProblemError(
    "unavailable",
    `Cannot set up the network for sandboxes: missing programs: ${missing.join(", ")}.`,
  );
}

async function explained<T>(
  slug: "internal" | "start-failed" | "unavailable",
  detail: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof ProblemError) throw cause;
    throw new ProblemError(slug, detail, { cause });
  }
}
