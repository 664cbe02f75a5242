import { formatIp, ipBits, parseIp, type Ip, type IpVersion } from "#core/ip.ts";

/** A range of addresses; `base` has no bit set beyond `prefix`. Two ranges are nested or disjoint, never partly overlapping. */
export interface Cidr {
  readonly version: IpVersion;
  readonly base: bigint;
  readonly prefix: number;
}

const PREFIX = /^(0|[1-9]\d{0,2})$/;

/** Strict `address/prefix`; set host bits are cleared. Undefined when the text is not a range. */
export function parseCidr(text: string): Cidr | undefined {
  const [address, length, rest] = text.split("/");
  if (address === undefined || length === undefined || rest !== undefined || !PREFIX.test(length)) return undefined;
  const ip = parseIp(address);
  const prefix = Number(length);
  if (ip === undefined || prefix > ipBits(ip.version)) return undefined;
  return cidrOf(ip, prefix);
}

/** The range of this prefix length around an address. */
export function cidrOf(ip: Ip, prefix: number): Cidr {
  const hostBits = BigInt(ipBits(ip.version) - prefix);
  return { version: ip.version, base: (ip.value >> hostBits) << hostBits, prefix };
}

/** A range known to be right; throws RangeError otherwise. */
export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new RangeError(`Cannot read the address range: "${text}"`);
  return parsed;
}

/** Canonical text. */
export function formatCidr(range: Cidr): string {
  return `${formatIp({ version: range.version, value: range.base })}/${range.prefix}`;
}

/** True when every address of `inner` is in `outer`. */
export function covers(outer: Cidr, inner: Cidr): boolean {
  return inner.prefix >= outer.prefix && includes(outer, { version: inner.version, value: inner.base });
}

/** True when the address is in the range. */
export function includes(range: Cidr, ip: Ip): boolean {
  const hostBits = BigInt(ipBits(range.version) - range.prefix);
  return range.version === ip.version && range.base >> hostBits === ip.value >> hostBits;
}

/** True when the ranges have an address in common. */
export function overlaps(a: Cidr, b: Cidr): boolean {
  return covers(a, b) || covers(b, a);
}
