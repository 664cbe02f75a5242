import { access, readFile, readdir, writeFile } from "node:fs/promises";
import * as z from "zod";
import type { Log } from "#core/log.ts";
import { parseRoutes } from "../host-routes.ts";
import type { LinkOptions } from "../link-commands.ts";
import { indexOfName, type HostRoute, type NetConfig } from "../network.ts";
import { mustRun } from "./net-command.ts";

/** What the host looks like to the sandboxes' network, read once when it is set up. */
export interface NetHost {
  readonly routes: readonly HostRoute[];
  /** Interfaces that lead anywhere, other than loopback and the sandboxes' own. */
  readonly uplinks: readonly string[];
  readonly linkOptions: LinkOptions;
}

const Interfaces = z.array(z.object({ ifname: z.string(), mtu: z.int() }));
const DEFAULT_MTU = 1500;
/** IPv6 cannot do with less (RFC 8200). */
const MIN_MTU = 1280;

/** Reads routes and interfaces of this process's network namespace. */
export async function readHost(config: NetConfig): Promise<NetHost> {
  const ipv6 = await hasIpv6();
  const [v4, v6, interfaces] = await Promise.all([
    readRoutes("-4"),
    ipv6 ? readRoutes("-6") : [],
    mustRun("ip", ["-j", "link", "show"]).then((text) => Interfaces.parse(JSON.parse(text))),
  ]);
  const routes = [...v4, ...v6];
  const uplinks = [...new Set(routes.map(({ dev }) => dev))].filter(
    (dev) => dev !== "lo" && indexOfName(config, dev) === undefined,
  );
  const ways = new Set(routes.filter(({ dst }) => dst === "default").map(({ dev }) => dev));
  const mtus = interfaces.filter(({ ifname }) => ways.has(ifname)).map(({ mtu }) => mtu);
  const mtu = Math.max(MIN_MTU, Math.min(DEFAULT_MTU, ...mtus));
  return { routes, uplinks, linkOptions: { mtu, ipv6 } };
}

/**
 * Lets the kernel forward between the uplinks and the sandboxes: per interface where it can, so that
 * the host does not become a router as a whole. Each changed setting is logged with its old value.
 */
export async function enableForwarding(host: NetHost, log: Log): Promise<void> {
  const set = async (key: string, value: string): Promise<void> => {
    const before = await readSysctl(key);
    if (before === undefined || before === value) return;
    await writeSysctl(key, value);
    log.info("Changed a network setting of the host", { key, before, value });
  };
  for (const uplink of host.uplinks) await set(`ipv4/conf/${uplink}/forwarding`, "1");
  if (!host.linkOptions.ipv6) return;
  if (await hasForceForwarding()) {
    for (const uplink of host.uplinks) await set(`ipv6/conf/${uplink}/force_forwarding`, "1");
    return;
  }
  // An older kernel forwards IPv6 everywhere or nowhere, and a router ignores the router
  // advertisements that the host's own routes may come from, unless told otherwise.
  for (const uplink of host.uplinks) {
    if ((await readSysctl(`ipv6/conf/${uplink}/accept_ra`)) === "1") await set(`ipv6/conf/${uplink}/accept_ra`, "2");
  }
  await set("ipv6/conf/all/forwarding", "1");
}

/** Settings of the host's end of one link, made before the sandbox's end is up. */
export async function configureLink(ifname: string, options: LinkOptions): Promise<void> {
  await Promise.all([
    writeSysctl(`ipv4/conf/${ifname}/forwarding`, "1"),
    // Without this the host answers ARP for all of its addresses on every link.
    writeSysctl(`ipv4/conf/${ifname}/arp_ignore`, "1"),
    writeSysctl(`ipv4/conf/${ifname}/send_redirects`, "0"),
    ...(options.ipv6 ? [writeSysctl(`ipv6/conf/${ifname}/accept_ra`, "0")] : []),
    ...(options.ipv6 && (await hasForceForwarding()) ? [writeSysctl(`ipv6/conf/${ifname}/force_forwarding`, "1")] : []),
  ]);
}

/** Indexes of this instance's links that exist on the host. */
export async function linkIndexes(config: NetConfig): Promise<Set<number>> {
  const text = await readFile("/proc/net/dev", "utf8");
  const names = text.split("\n").flatMap((line) => /^\s*([^\s:]+):/.exec(line)?.[1] ?? []);
  return indexesOf(config, names);
}

/** Indexes of this instance's namespaces that exist on the host. */
export async function namespaceIndexes(config: NetConfig): Promise<Set<number>> {
  return indexesOf(config, await readdir("/run/netns").catch(() => []));
}

/** True on a kernel that forwards IPv6 per interface (6.17 and later). */
export async function hasForceForwarding(): Promise<boolean> {
  return (await readSysctl("ipv6/conf/default/force_forwarding")) !== undefined;
}

async function hasIpv6(): Promise<boolean> {
  const disabled = await readSysctl("ipv6/conf/default/disable_ipv6");
  return (
    disabled === "0" &&
    (await access("/proc/net/if_inet6").then(
      () => true,
      () => false,
    ))
  );
}

async function readRoutes(family: "-4" | "-6"): Promise<HostRoute[]> {
  return parseRoutes(await mustRun("ip", ["-j", family, "route", "show", "table", "all", "type", "unicast"]));
}

function indexesOf(config: NetConfig, names: readonly string[]): Set<number> {
  return new Set(names.flatMap((name) => indexOfName(config, name) ?? []));
}

async function readSysctl(key: string): Promise<string | undefined> {
  return readFile(`/proc/sys/net/${key}`, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
}

async function writeSysctl(key: string, value: string): Promise<void> {
  await writeFile(`/proc/sys/net/${key}`, value);
}
