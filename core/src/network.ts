import type { ProblemFault } from "#api/problem.ts";
import { BLOCKED } from "#core/blocked-ranges.ts";
import { cidr, cidrOf, covers, formatCidr, includes, parseCidr, type Cidr } from "#core/cidr.ts";
import { formatIp, ipBits, parseIp, type Ip } from "#core/ip.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { NetworkSpec } from "#core/sandbox.ts";

export interface PortRule {
  readonly protocol: "tcp" | "udp";
  readonly port: number;
}

/** One allowed set of destinations; everything that no rule allows is denied. */
export interface EgressRule {
  /** Which option of the spec opened it: a renderer may use a shared object for it. */
  readonly origin: "internet" | "cidr" | "nameserver" | "cluster-dns";
  readonly cidr: string;
  /** Ranges strictly inside `cidr` that stay closed, pairwise disjoint. */
  readonly except: readonly string[];
  /** Absent = every protocol and port. */
  readonly ports?: readonly PortRule[];
}

/** Content of resolv.conf. */
export interface DnsConfig {
  readonly nameservers: readonly string[];
  readonly options: readonly string[];
}

export interface RateLimit {
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
}

/** All that a sandbox may send, computed once and rendered for each target. Nothing may reach the sandbox but answers. */
export interface NetworkPlan {
  readonly egress: readonly EgressRule[];
  readonly dns: DnsConfig;
  /** True when the sandbox may use IPv6 at all. */
  readonly ipv6: boolean;
  readonly rateLimit?: RateLimit;
}

export interface PlanOptions {
  /** Resolvers that `allowClusterDNS` opens: the cluster's, or those the host itself is configured with. */
  readonly clusterResolvers: readonly string[];
}

/** What each sandbox without a nameserver of its own asks, once it may leave at all. Source: the REST contract. */
const PUBLIC_RESOLVERS = ["8.8.8.8", "1.1.1.1"] as const;
/** A resolver that never answers; one short attempt, so that a lookup fails at once. */
const SINK: DnsConfig = { nameservers: ["127.0.0.1"], options: ["ndots:1", "timeout:1", "attempts:1"] };
/** The C library reads no more than three. */
const MAX_NAMESERVERS = 3;
const DNS_PORTS: readonly PortRule[] = [
  { protocol: "udp", port: 53 },
  { protocol: "tcp", port: 53 },
];
/** A resolver in one of these is the sandbox itself or nobody: it needs no rule. */
const NEVER_FORWARDED = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "224.0.0.0/3",
  "::/96",
  "::ffff:0:0/96",
  "fe80::/10",
  "ff00::/8",
].map(cidr);
/** Smallest burst that still lets whole segmentation-offload packets pass; largest that a 32-bit field holds. */
const MIN_BURST_BYTES = 131_072;
const MAX_BURST_BYTES = 2 ** 32 - 1;

/**
 * Throws `validation-failed` for an address or range that cannot be read, or that is IPv6 without
 * `allowIPv6Egress`; `blocked-cidr` for a range equal to or inside a blocked one. With internet
 * egress the CIDR list has no effect, so its ranges are then not compared, only read.
 */
export function checkNetwork(spec: NetworkSpec): void {
  const faults = [...cidrFaults(spec), ...nameserverFaults(spec)];
  if (faults.length > 0) {
    throw new ProblemError("validation-failed", faults[0]?.message ?? "", { errors: faults });
  }
  if (spec.allowInternetEgress) return;
  const blocked = blockedFaults(spec);
  if (blocked.length > 0) throw new ProblemError("blocked-cidr", blocked[0]?.message ?? "", { errors: blocked });
}

/** The flows that a spec allows, and its DNS and rate settings; throws as `checkNetwork` does. */
export function planNetwork(spec: NetworkSpec, options: PlanOptions): NetworkPlan {
  checkNetwork(spec);
  const ipv6 = spec.allowIPv6Egress === true;
  const cluster = spec.allowClusterDNS ? usableResolvers(options.clusterResolvers, ipv6) : [];
  const own = ownNameservers(spec);
  const bytesPerSecond = spec.egressRateLimitBytesPerSecond;
  return {
    egress: [...clusterRules(cluster), ...customRules(spec, own), ...internetRules(spec, ipv6)],
    dns: dnsConfig(spec, [...cluster, ...own]),
    ipv6,
    ...(bytesPerSecond === undefined ? {} : { rateLimit: { bytesPerSecond, burstBytes: burstBytes(bytesPerSecond) } }),
  };
}

/** The text of resolv.conf. */
export function renderResolvConf(dns: DnsConfig): string {
  const lines = dns.nameservers.map((nameserver) => `nameserver ${nameserver}`);
  if (dns.options.length > 0) lines.push(`options ${dns.options.join(" ")}`);
  return `${lines.join("\n")}\n`;
}

function cidrFaults(spec: NetworkSpec): ProblemFault[] {
  return (spec.allowedEgressCIDRs ?? []).flatMap((value, index) => {
    const range = parseCidr(value);
    const location = `body.network.allowedEgressCIDRs[${index}]`;
    if (range === undefined) return [{ location, value, message: `Cannot read the address range: "${value}"` }];
    return versionFaults(spec, range.version, location, value);
  });
}

function nameserverFaults(spec: NetworkSpec): ProblemFault[] {
  return (spec.nameservers ?? []).flatMap((value, index) => {
    const ip = parseIp(value);
    const location = `body.network.nameservers[${index}]`;
    if (ip === undefined) return [{ location, value, message: `Cannot read the nameserver's address: "${value}"` }];
    if (includes(cidr("::ffff:0:0/96"), ip)) {
      return [{ location, value, message: `Cannot use the IPv4-mapped nameserver "${value}": write it as IPv4` }];
    }
    return versionFaults(spec, ip.version, location, value);
  });
}

function versionFaults(spec: NetworkSpec, version: 4 | 6, location: string, value: string): ProblemFault[] {
  if (version === 4 || spec.allowIPv6Egress) return [];
  return [{ location, value, message: `Cannot use "${value}": IPv6 needs allowIPv6Egress` }];
}

function blockedFaults(spec: NetworkSpec): ProblemFault[] {
  return (spec.allowedEgressCIDRs ?? []).flatMap((value, index) => {
    const blocking = BLOCKED.find((blocked) => covers(blocked, cidr(value)));
    if (blocking === undefined) return [];
    const message = `Cannot allow egress to "${value}": it lies in the blocked range ${formatCidr(blocking)}`;
    return [{ location: `body.network.allowedEgressCIDRs[${index}]`, value, message }];
  });
}

/** Explicit nameservers, else public ones as soon as anything but cluster DNS is open. */
function ownNameservers(spec: NetworkSpec): readonly Ip[] {
  const explicit = spec.nameservers ?? [];
  const opened = spec.allowInternetEgress === true || (spec.allowedEgressCIDRs ?? []).length > 0;
  const texts = explicit.length > 0 ? explicit : opened && !spec.allowClusterDNS ? PUBLIC_RESOLVERS : [];
  return distinct(texts.flatMap((text) => parseIp(text) ?? []).map((ip) => ({ ip, key: formatIp(ip) }))).map(
    ({ ip }) => ip,
  );
}

function usableResolvers(texts: readonly string[], ipv6: boolean): readonly Ip[] {
  return texts
    .flatMap((text) => parseIp(text) ?? [])
    .filter((ip) => (ipv6 || ip.version === 4) && isForwarded(ip))
    .slice(0, MAX_NAMESERVERS);
}

function dnsConfig(spec: NetworkSpec, nameservers: readonly Ip[]): DnsConfig {
  if (nameservers.length === 0) return SINK;
  const texts = [...new Set(nameservers.map(formatIp))].slice(0, MAX_NAMESERVERS);
  return { nameservers: texts, options: spec.allowClusterDNS ? [] : ["ndots:1"] };
}

function clusterRules(resolvers: readonly Ip[]): EgressRule[] {
  return resolvers.map((ip) => resolverRule("cluster-dns", ip));
}

/** CIDR list and nameservers count only without internet egress; that alone reaches public resolvers. */
function customRules(spec: NetworkSpec, nameservers: readonly Ip[]): EgressRule[] {
  if (spec.allowInternetEgress) return [];
  const ranges = (spec.allowedEgressCIDRs ?? []).map(cidr).map((range) => ({ range, key: formatCidr(range) }));
  return [
    ...nameservers.filter(isForwarded).map((ip) => resolverRule("nameserver", ip)),
    ...distinct(ranges).map(({ range }) => rangeRule("cidr", range)),
  ];
}

function internetRules(spec: NetworkSpec, ipv6: boolean): EgressRule[] {
  if (!spec.allowInternetEgress) return [];
  const ranges = ipv6 ? ["0.0.0.0/0", "::/0"] : ["0.0.0.0/0"];
  return ranges.map((range) => rangeRule("internet", cidr(range)));
}

function resolverRule(origin: EgressRule["origin"], ip: Ip): EgressRule {
  return { origin, cidr: formatCidr(cidrOf(ip, ipBits(ip.version))), except: [], ports: DNS_PORTS };
}

/** Ranges are nested or disjoint, so the blocked ranges inside an allowed one are exactly what has to be left out. */
function rangeRule(origin: EgressRule["origin"], range: Cidr): EgressRule {
  return {
    origin,
    cidr: formatCidr(range),
    except: BLOCKED.filter((blocked) => covers(range, blocked)).map(formatCidr),
  };
}

function isForwarded(ip: Ip): boolean {
  return !NEVER_FORWARDED.some((range) => includes(range, ip));
}

function burstBytes(bytesPerSecond: number): number {
  return Math.min(Math.max(Math.floor(bytesPerSecond / 10), MIN_BURST_BYTES), MAX_BURST_BYTES);
}

function distinct<T extends { readonly key: string }>(items: readonly T[]): T[] {
  return [...new Map(items.map((item) => [item.key, item])).values()];
}
