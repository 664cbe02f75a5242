import type { NetworkSpec } from "#core/sandbox.ts";

/** One flow and what has to become of it. */
export interface Flow {
  readonly name: string;
  /** A sandbox of `SANDBOXES`, or a host outside. */
  readonly from: string;
  readonly kind: "tcp" | "udp" | "icmp" | "protocol" | "spoof" | "hole";
  /** An address, or the name of one that the lab hands out. */
  readonly dst: string;
  readonly port?: number;
  /** Claimed source of a spoofed packet. */
  readonly src?: string;
  /** Whether the packet reaches its destination. */
  readonly arrives: boolean;
  /** What the sender learns; by default `reply` when the packet arrives, else `rejected`. */
  readonly answer?: "reply" | "rejected" | "silent" | "sent";
  /** False where the kernel alone already stops it, so that the run without rules shows nothing. */
  readonly control?: false;
}

/** The policies under test, one sandbox each; undefined = attached, but no policy applied yet. */
export const SANDBOXES: Readonly<Record<string, NetworkSpec | undefined>> = {
  unapplied: undefined,
  off: {},
  ipv6alone: { allowIPv6Egress: true },
  ratealone: { egressRateLimitBytesPerSecond: 1_000_000 },
  internet: { allowInternetEgress: true },
  internet6: { allowInternetEgress: true, allowIPv6Egress: true },
  ignoredlist: { allowInternetEgress: true, allowedEgressCIDRs: ["10.0.0.0/8"] },
  ranges: { allowedEgressCIDRs: ["34.0.0.0/8", "9.9.9.0/24"] },
  ranges6: { allowIPv6Egress: true, allowedEgressCIDRs: ["2606:4700::/32"] },
  everything: { allowIPv6Egress: true, allowedEgressCIDRs: ["0.0.0.0/0", "::/0"] },
  named: { nameservers: ["10.9.9.9"] },
  named6: { allowIPv6Egress: true, nameservers: ["2606:4700::1111"] },
  cluster: { allowClusterDNS: true },
  /** The one that others try to reach; it has services of its own. */
  victim: { allowInternetEgress: true, allowIPv6Egress: true },
};

/** What the host itself is configured with. */
export const CLUSTER_RESOLVERS = ["10.9.0.53"];

/** Addresses bound on the hosts outside. */
export const PUBLIC = [
  ..."8.8.8.8 1.1.1.1 9.9.9.9 9.9.8.1 34.1.1.1 34.118.225.1 100.63.0.7 100.64.0.7 169.254.169.254 168.63.129.16".split(
    " ",
  ),
  ..."192.0.2.7 192.88.99.7 192.0.0.7 198.18.0.7 198.51.100.7 203.0.113.7 240.0.0.7 0.1.2.3".split(" "),
  ..."2606:4700::1111 2001:4860::8888 2001:db8::7 2002::7 2001::7 64:ff9b::808:808 64:ff9b::a00:7 fc00::7".split(" "),
  ..."3fff::7 100::7 5f00::7 2600:2d00:0:4::7 2600:2d00:0:2::7 fec0::7".split(" "),
];
export const PRIVATE = ["10.9.9.9", "10.9.0.53", "10.9.1.1", "172.16.0.7", "192.168.77.7", "fd00:9::7"];

const allowed = (from: string, kind: Flow["kind"], dst: string, port?: number): Flow =>
  flow(from, kind, dst, port, true);
const denied = (from: string, kind: Flow["kind"], dst: string, port?: number): Flow =>
  flow(from, kind, dst, port, false);

function flow(from: string, kind: Flow["kind"], dst: string, port: number | undefined, arrives: boolean): Flow {
  const target = port === undefined ? dst : `${dst} port ${port}`;
  const name = `${from}: ${kind} to ${target} ${arrives ? "passes" : "is denied"}`;
  const answer = kind !== "protocol" ? {} : { answer: "sent" as const };
  return { name, from, kind, dst, arrives, ...answer, ...(port === undefined ? {} : { port }) };
}

const silent = (base: Flow): Flow => ({ ...base, answer: "silent" });
const spoofed = (from: string, src: string, dst: string): Flow => ({
  ...denied(from, "spoof", dst, 53),
  name: `${from}: a packet that claims to come from ${src} is dropped`,
  src,
  answer: "sent",
});

export const FLOWS: readonly Flow[] = [
  // Before a policy is applied nothing passes, and nothing is answered.
  silent(denied("unapplied", "tcp", "9.9.9.9", 443)),
  silent(denied("unapplied", "udp", "8.8.8.8", 53)),
  silent(denied("unapplied", "tcp", "own-gateway", 8080)),
  silent(denied("unapplied", "icmp", "2606:4700::1111")),
  // The default policy.
  denied("off", "tcp", "9.9.9.9", 443),
  denied("off", "udp", "8.8.8.8", 53),
  denied("off", "tcp", "8.8.8.8", 53),
  denied("off", "icmp", "9.9.9.9"),
  denied("off", "tcp", "2606:4700::1111", 443),
  denied("off", "udp", "10.9.0.53", 53),
  denied("off", "tcp", "169.254.169.254", 80),
  denied("off", "protocol", "9.9.9.9"),
  // Options that open nothing by themselves.
  denied("ipv6alone", "tcp", "2606:4700::1111", 443),
  denied("ipv6alone", "tcp", "9.9.9.9", 443),
  denied("ratealone", "udp", "8.8.8.8", 53),
  // Internet egress.
  allowed("internet", "tcp", "9.9.9.9", 443),
  allowed("internet", "udp", "9.9.9.9", 443),
  allowed("internet", "udp", "8.8.8.8", 53),
  allowed("internet", "tcp", "1.1.1.1", 53),
  allowed("internet", "icmp", "9.9.9.9"),
  allowed("internet", "protocol", "9.9.9.9"),
  allowed("internet", "tcp", "100.63.0.7", 443),
  {
    ...allowed("internet", "udp", "9.9.9.9", 9999),
    name: "internet: the error for a closed port comes back",
    answer: "rejected",
  },
  {
    ...denied("internet", "hole", "9.9.9.9", 7000),
    name: "internet: an answer from another port than the one asked is denied",
    arrives: true,
    answer: "silent",
  },
  denied("internet", "tcp", "2606:4700::1111", 443),
  denied("internet", "udp", "2001:4860::8888", 53),
  ...["10.9.1.1", "172.16.0.7", "192.168.77.7", "100.64.0.7", "169.254.169.254", "168.63.129.16", "34.118.225.1"].map(
    (ip) => denied("internet", "tcp", ip, 80),
  ),
  ...["192.0.2.7", "192.88.99.7", "192.0.0.7", "198.18.0.7", "198.51.100.7", "203.0.113.7", "240.0.0.7", "0.1.2.3"].map(
    (ip) => denied("internet", "tcp", ip, 443),
  ),
  denied("internet", "udp", "169.254.169.254", 53),
  denied("internet", "icmp", "10.9.1.1"),
  denied("internet", "udp", "10.9.0.53", 53),
  { ...denied("internet", "protocol", "224.0.0.251"), control: false },
  // IPv6.
  allowed("internet6", "tcp", "2606:4700::1111", 443),
  allowed("internet6", "udp", "2001:4860::8888", 53),
  allowed("internet6", "icmp", "2606:4700::1111"),
  allowed("internet6", "tcp", "9.9.9.9", 443),
  allowed("internet6", "tcp", "64:ff9b::808:808", 443),
  ...[
    "64:ff9b::a00:7",
    "fd00:9::7",
    "fc00::7",
    "2001:db8::7",
    "2002::7",
    "2001::7",
    "3fff::7",
    "100::7",
    "5f00::7",
  ].map((ip) => denied("internet6", "tcp", ip, 443)),
  ...["2600:2d00:0:4::7", "2600:2d00:0:2::7", "fec0::7"].map((ip) => denied("internet6", "tcp", ip, 80)),
  denied("internet6", "icmp", "fd00:9::7"),
  // The list beside internet egress has no effect.
  denied("ignoredlist", "tcp", "10.9.1.1", 80),
  allowed("ignoredlist", "tcp", "9.9.9.9", 443),
  // Lists of ranges, the blocked ones inside them left out.
  allowed("ranges", "tcp", "34.1.1.1", 8443),
  allowed("ranges", "udp", "34.1.1.1", 443),
  allowed("ranges", "icmp", "9.9.9.9"),
  denied("ranges", "tcp", "34.118.225.1", 443),
  denied("ranges", "tcp", "9.9.8.1", 443),
  denied("ranges", "tcp", "10.9.1.1", 80),
  allowed("ranges", "udp", "8.8.8.8", 53),
  allowed("ranges", "tcp", "1.1.1.1", 53),
  denied("ranges", "udp", "8.8.8.8", 54),
  denied("ranges", "tcp", "8.8.8.8", 443),
  denied("ranges", "icmp", "8.8.8.8"),
  denied("ranges", "tcp", "2606:4700::1111", 443),
  allowed("ranges6", "tcp", "2606:4700::1111", 8443),
  denied("ranges6", "tcp", "2001:4860::8888", 443),
  allowed("everything", "tcp", "34.1.1.1", 443),
  denied("everything", "tcp", "34.118.225.1", 443),
  denied("everything", "tcp", "169.254.169.254", 80),
  allowed("everything", "tcp", "2001:4860::8888", 443),
  denied("everything", "tcp", "fd00:9::7", 443),
  // Names.
  allowed("named", "udp", "10.9.9.9", 53),
  allowed("named", "tcp", "10.9.9.9", 53),
  denied("named", "udp", "10.9.9.9", 54),
  denied("named", "tcp", "10.9.9.9", 443),
  denied("named", "icmp", "10.9.9.9"),
  denied("named", "udp", "8.8.8.8", 53),
  denied("named", "udp", "10.9.1.1", 53),
  allowed("named6", "udp", "2606:4700::1111", 53),
  denied("named6", "udp", "2606:4700::1111", 54),
  allowed("cluster", "udp", "10.9.0.53", 53),
  allowed("cluster", "tcp", "10.9.0.53", 53),
  denied("cluster", "udp", "10.9.0.53", 54),
  denied("cluster", "udp", "8.8.8.8", 53),
  denied("cluster", "udp", "10.9.9.9", 53),
  // The host, on every address it has, and the gateway's API there.
  ...["internet6", "everything", "off"].flatMap((from) => [
    denied(from, "tcp", "own-gateway", 8080),
    denied(from, "tcp", "host-wan", 8080),
    denied(from, "tcp", "host-wan6", 8080),
  ]),
  denied("internet6", "tcp", "host-lan", 8080),
  denied("internet6", "udp", "host-wan", 53),
  denied("internet6", "icmp", "own-gateway"),
  denied("internet6", "icmp", "own-gateway6"),
  denied("internet6", "tcp", "victim-gateway", 8080),
  { ...denied("internet6", "spoof", "127.0.0.1", 8080), src: "own", answer: "sent", control: false },
  // Another sandbox.
  denied("internet6", "tcp", "victim", 7777),
  denied("internet6", "udp", "victim", 53),
  denied("internet6", "icmp", "victim"),
  denied("internet6", "tcp", "victim6", 7777),
  denied("internet6", "icmp", "victim6"),
  denied("everything", "tcp", "victim", 7777),
  denied("off", "udp", "victim", 53),
  // Nobody may start a conversation with a sandbox.
  silent(denied("wan", "tcp", "victim", 7777)),
  silent(denied("wan", "udp", "victim", 53)),
  silent(denied("wan", "icmp", "victim")),
  silent(denied("wan", "tcp", "victim6", 7777)),
  silent(denied("lan", "tcp", "victim", 7777)),
  // Somebody else's address.
  spoofed("internet6", "victim", "9.9.9.9"),
  { ...spoofed("internet6", "host-wan", "9.9.9.9"), control: false },
  spoofed("internet6", "9.9.8.1", "9.9.9.9"),
  spoofed("internet6", "victim6", "2606:4700::1111"),
  spoofed("off", "victim", "9.9.9.9"),
];
