import { cidr, type Cidr } from "#core/cidr.ts";

/**
 * IPv4 ranges that no CIDR list and no internet egress opens: private, carrier-grade NAT,
 * link-local and cloud metadata, benchmark and documentation nets, multicast, reserved.
 * Source: the REST contract, and 0.0.0.0/8 and 127.0.0.0/8 (RFC 1122), which name the host itself.
 */
export const BLOCKED_V4: readonly Cidr[] = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "34.118.224.0/20",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "168.63.129.16/32",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
].map(cidr);

/**
 * The same for IPv6. Beyond the contract: ::/96 (unspecified, loopback, IPv4-compatible),
 * ::ffff:0:0/96 (IPv4-mapped), fec0::/10 (site-local), and each blocked IPv4 range as NAT64
 * writes it under 64:ff9b::/96, since a NAT64 gateway would carry a packet into it.
 */
export const BLOCKED_V6: readonly Cidr[] = [
  ...[
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:db8::/32",
    "2002::/16",
    "2600:2d00:0:2::/63",
    "2600:2d00:0:4::/64",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
  ].map(cidr),
  ...BLOCKED_V4.map(asNat64),
];

/** The blocked ranges of both versions. */
export const BLOCKED: readonly Cidr[] = [...BLOCKED_V4, ...BLOCKED_V6];

function asNat64(range: Cidr): Cidr {
  return { version: 6, base: cidr("64:ff9b::/96").base | range.base, prefix: 96 + range.prefix };
}
