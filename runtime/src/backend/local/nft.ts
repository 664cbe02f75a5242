import { BLOCKED, BLOCKED_V4, BLOCKED_V6 } from "#core/blocked-ranges.ts";
import { cidr, covers, formatCidr } from "#core/cidr.ts";
import type { EgressRule, NetworkPlan, RateLimit } from "#core/network.ts";
import type { Link, NetConfig } from "./network.ts";

export interface PolicyOptions {
  /** Limit the rate by dropping packets here: for a kernel that cannot shape on the link. */
  readonly police?: RateLimit;
}

/**
 * The ruleset that all sandboxes share, as one transaction that may be repeated at any time:
 * policies of living sandboxes stay. A link that has no policy yet is denied everything.
 *
 * - `antispoof` drops, before connections are tracked, every packet that does not carry its link's own address.
 * - `input` keeps the host itself closed on every address it has.
 * - `forward` looks the link up in a map, so its cost does not grow with the number of sandboxes, and
 *   judges each packet out of a sandbox by the policy of now: what was opened for an earlier
 *   sandbox of the same address is worth nothing. Inwards only answers pass.
 * - `deny` answers, so that programs fail at once instead of waiting.
 */
export function baseRules(config: NetConfig): string {
  const table = `inet ${config.name}`;
  const links = `"${config.name}-*"`;
  const chain = (name: string, hook = ""): string => `add chain ${table} ${name}${hook}\nflush chain ${table} ${name}`;
  const hooked = (name: string, type: string, at: string): string =>
    chain(name, ` { type ${type} hook ${at}; policy accept; }`);
  return `${[
    `add table ${table}`,
    blockedSet(table, "blocked4", "ipv4_addr", BLOCKED_V4.map(formatCidr)),
    blockedSet(table, "blocked6", "ipv6_addr", BLOCKED_V6.map(formatCidr)),
    `add set ${table} sources4 { type ifname . ipv4_addr; }`,
    `add set ${table} sources6 { type ifname . ipv6_addr; }`,
    `add map ${table} policies { type ifname : verdict; }`,
    hooked("antispoof", "filter", "prerouting priority raw"),
    hooked("input", "filter", "input priority filter"),
    hooked("forward", "filter", "forward priority filter"),
    hooked("outbound", "nat", "postrouting priority srcnat"),
    chain("deny"),
    `add rule ${table} antispoof iifname != ${links} accept`,
    `add rule ${table} antispoof iifname . ip saddr @sources4 accept`,
    `add rule ${table} antispoof iifname . ip6 saddr @sources6 accept`,
    `add rule ${table} antispoof drop`,
    `add rule ${table} input iifname ${links} goto deny`,
    `add rule ${table} forward iifname ${links} oifname ${links} goto deny`,
    // A packet outside every connection would leave with the sandbox's own address.
    `add rule ${table} forward iifname ${links} ct state invalid drop`,
    `add rule ${table} forward iifname vmap @policies`,
    `add rule ${table} forward iifname ${links} goto deny`,
    `add rule ${table} forward oifname ${links} ct state established,related accept`,
    `add rule ${table} forward oifname ${links} drop`,
    `add rule ${table} outbound ip saddr ${config.pool4} oifname != ${links} masquerade`,
    `add rule ${table} outbound ip6 saddr ${config.pool6} oifname != ${links} masquerade`,
    `add rule ${table} deny meta l4proto tcp reject with tcp reset`,
    // Of the errors for UDP, gVisor's network stack hands only this one to the program.
    `add rule ${table} deny meta l4proto udp reject with icmpx port-unreachable`,
    `add rule ${table} deny reject with icmpx admin-prohibited`,
  ].join("\n")}\n`;
}

/** Removes the table and all that is in it, whether it exists or not. */
export function removeTable(config: NetConfig): string {
  return `add table inet ${config.name}\ndelete table inet ${config.name}\n`;
}

/** Puts this policy in the place of whatever the link had, as one transaction. */
export function policyRules(config: NetConfig, link: Link, plan: NetworkPlan, options: PolicyOptions = {}): string {
  const table = `inet ${config.name}`;
  const chain = chainOf(link);
  const rule = `add rule ${table} ${chain}`;
  return `${[
    `add chain ${table} ${chain}`,
    `flush chain ${table} ${chain}`,
    ...(options.police === undefined ? [] : [`${rule} ${policer(options.police)} drop`]),
    `${rule} ct state new ct count over ${config.maxConnections} goto deny`,
    ...plan.egress.flatMap((egress) => matches(egress).map((match) => `${rule} ${match} accept`)),
    `${rule} goto deny`,
    ...elements(table, link).map((element) => `add element ${element}`),
    `add element ${table} policies { "${link.ifname}" : goto ${chain} }`,
  ].join("\n")}\n`;
}

/** Takes the link's policy away, so that it is denied everything again; repeatable. */
export function removePolicy(config: NetConfig, link: Link): string {
  const table = `inet ${config.name}`;
  const chain = chainOf(link);
  // Deleting what is absent fails, so each thing is added first: within one transaction nobody sees it.
  return `${[
    `add chain ${table} ${chain}`,
    ...elements(table, link).flatMap((element) => [`add element ${element}`, `delete element ${element}`]),
    `add element ${table} policies { "${link.ifname}" : goto ${chain} }`,
    `delete element ${table} policies { "${link.ifname}" }`,
    `flush chain ${table} ${chain}`,
    `delete chain ${table} ${chain}`,
  ].join("\n")}\n`;
}

/** The index in the name of a policy's chain, or undefined for a shared chain. */
export function indexOfChain(chain: string): number | undefined {
  const digits = /^link-(\d{1,5})$/.exec(chain)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function chainOf(link: Link): string {
  return `link-${link.index}`;
}

function elements(table: string, link: Link): string[] {
  return [
    `${table} sources4 { "${link.ifname}" . ${link.ipv4.guest} }`,
    `${table} sources6 { "${link.ifname}" . ${link.ipv6.guest} }`,
  ];
}

function blockedSet(table: string, name: string, type: string, ranges: readonly string[]): string {
  return [
    `add set ${table} ${name} { type ${type}; flags interval; }`,
    `flush set ${table} ${name}`,
    `add element ${table} ${name} { ${ranges.join(", ")} }`,
  ].join("\n");
}

function matches(rule: EgressRule): string[] {
  const range = cidr(rule.cidr);
  const family = range.version === 4 ? "ip" : "ip6";
  const inside = range.prefix === 0 ? `meta nfproto ipv${range.version}` : `${family} daddr ${rule.cidr}`;
  const outside = exceptMatch(rule, family);
  const where = outside === "" ? inside : `${inside} ${outside}`;
  if (rule.ports === undefined) return [where];
  return rule.ports.map(({ protocol, port }) => `${where} ${protocol} dport ${port}`);
}

/**
 * The usual exceptions are all blocked ranges inside the allowed one: a set shared by all
 * sandboxes says the same, and a set of its own in each chain would be read back on every change.
 */
function exceptMatch(rule: EgressRule, family: "ip" | "ip6"): string {
  if (rule.except.length === 0) return "";
  const range = cidr(rule.cidr);
  const shared = BLOCKED.filter((blocked) => covers(range, blocked)).map(formatCidr);
  const isShared = shared.length === rule.except.length && shared.every((text) => rule.except.includes(text));
  if (isShared) return `${family} daddr != @blocked${range.version}`;
  return `${family} daddr != { ${rule.except.join(", ")} }`;
}

/** The kernel refuses a byte limit much above this. */
const MAX_POLICED_BYTES_PER_SECOND = 10_000_000_000;

/** The kernel adds one second of the rate to the burst of a byte limit; this takes it off again as far as it goes. */
function policer({ bytesPerSecond, burstBytes }: RateLimit): string {
  const rate = Math.min(bytesPerSecond, MAX_POLICED_BYTES_PER_SECOND);
  return `limit rate over ${rate} bytes/second burst ${Math.max(burstBytes - rate, 0)} bytes`;
}
