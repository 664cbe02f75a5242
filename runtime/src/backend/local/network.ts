import { cidr, formatCidr, overlaps, parseCidr, type Cidr } from "#core/cidr.ts";
import { formatIp, ipBits } from "#core/ip.ts";

/** Settings of the sandboxes' network; two instances on one host differ in name and pools. */
export interface NetConfig {
  /** The nft table, and the beginning of each link's and namespace's name: 1 to 8 lower-case letters or digits. */
  readonly name: string;
  /** Addresses of the links, two for each sandbox. */
  readonly pool4: string;
  /** The same for IPv6. */
  readonly pool6: string;
  /** Most connections that one sandbox has open at a time; the host's table of them is shared by all. */
  readonly maxConnections: number;
}

/** 10.201.0.0/16 has room for 32768 sandboxes and is rarely routed; the IPv6 pool is a unique local one (RFC 4193). */
export const DEFAULT_NET: NetConfig = {
  name: "atoll",
  pool4: "10.201.0.0/16",
  pool6: "fd61:746f:6c6c::/64",
  maxConnections: 8192,
};

/** Both ends of one sandbox's link; everything follows from the index, so a record of it never goes stale. */
export interface Link {
  readonly index: number;
  /** Network namespace that holds the sandbox's end. */
  readonly netns: string;
  readonly netnsPath: string;
  /** The host's end. */
  readonly ifname: string;
  /** The sandbox's end, inside the namespace. */
  readonly guestIfname: string;
  readonly ipv4: Endpoints;
  readonly ipv6: Endpoints;
}

interface Endpoints {
  readonly host: string;
  readonly guest: string;
  /** Prefix length of the pair: /31 (RFC 3021) and /127 (RFC 6164). */
  readonly prefix: number;
}

/** A route of the host, as far as a clash with the pool goes. */
export interface HostRoute {
  /** `default` or a range. */
  readonly dst: string;
  readonly dev: string;
}

/** Fixed addresses of the two ends: each link is a wire of its own, so they never meet. */
export const HOST_MAC = "02:a7:00:00:00:01";
export const GUEST_MAC = "02:a7:00:00:00:02";

const NAME = /^[a-z][a-z0-9]{0,7}$/;
const GUEST_IFNAME = "eth0";

/** Throws RangeError when a setting cannot work. */
export function checkNetConfig(config: NetConfig): void {
  if (!NAME.test(config.name))
    throw new RangeError(`Cannot name the network: "${config.name}" is not 1 to 8 letters or digits`);
  poolOf(config.pool4, 4, 30);
  poolOf(config.pool6, 6, 126);
}

/** Sandboxes that the pools have room for. */
export function capacityOf(config: NetConfig): number {
  const v4 = 2 ** (31 - poolOf(config.pool4, 4, 30).prefix);
  const v6 = 2 ** Math.min(127 - poolOf(config.pool6, 6, 126).prefix, 52);
  // Names of links hold five digits.
  return Math.min(v4, v6, 100_000);
}

/** The link of this index; RangeError outside the pools. */
export function linkOf(config: NetConfig, index: number): Link {
  if (!Number.isInteger(index) || index < 0 || index >= capacityOf(config)) {
    throw new RangeError(`Cannot address a sandbox: index ${index} is outside the pool ${config.pool4}`);
  }
  const name = `${config.name}-${index}`;
  return {
    index,
    netns: name,
    netnsPath: `/run/netns/${name}`,
    ifname: name,
    guestIfname: GUEST_IFNAME,
    ipv4: endpoints(poolOf(config.pool4, 4, 30), index),
    ipv6: endpoints(poolOf(config.pool6, 6, 126), index),
  };
}

/** The index in the name of a link or namespace of this instance, or undefined for anybody else's. */
export function indexOfName(config: NetConfig, name: string): number | undefined {
  const [prefix, digits, rest] = name.split("-");
  if (prefix !== config.name || digits === undefined || rest !== undefined) return undefined;
  const isIndex = /^(0|[1-9]\d{0,4})$/.test(digits) && Number(digits) < capacityOf(config);
  return isIndex ? Number(digits) : undefined;
}

/** The lowest index that is not in use, or undefined when the pool is full. */
export function lowestFreeIndex(used: ReadonlySet<number>, capacity: number): number | undefined {
  for (let index = 0; index < capacity; index += 1) if (!used.has(index)) return index;
  return undefined;
}

/** The first route of the host that leads into a pool, other than this instance's own and default routes. */
export function findClash(
  config: NetConfig,
  routes: readonly HostRoute[],
): { pool: string; route: HostRoute } | undefined {
  for (const pool of [config.pool4, config.pool6]) {
    const route = routes.find((candidate) => isForeign(config, candidate) && meets(cidr(pool), candidate.dst));
    if (route !== undefined) return { pool, route };
  }
  return undefined;
}

function isForeign(config: NetConfig, route: HostRoute): boolean {
  return route.dst !== "default" && !route.dev.startsWith(`${config.name}-`);
}

function meets(pool: Cidr, dst: string): boolean {
  const range = parseCidr(dst.includes("/") ? dst : `${dst}/${dst.includes(":") ? 128 : 32}`);
  return range !== undefined && range.prefix > 0 && overlaps(pool, range);
}

function poolOf(text: string, version: 4 | 6, maxPrefix: number): Cidr {
  const pool = parseCidr(text);
  if (pool === undefined || pool.version !== version || pool.prefix > maxPrefix)
    throw new RangeError(`Cannot use the pool "${text}": it must be an IPv${version} range of at most /${maxPrefix}`);
  if (formatCidr(pool) !== text) throw new RangeError(`Cannot use the pool "${text}": write it as ${formatCidr(pool)}`);
  return pool;
}

function endpoints(pool: Cidr, index: number): Endpoints {
  const { version } = pool;
  const host = pool.base + 2n * BigInt(index);
  return {
    host: formatIp({ version, value: host }),
    guest: formatIp({ version, value: host + 1n }),
    prefix: ipBits(version) - 1,
  };
}
