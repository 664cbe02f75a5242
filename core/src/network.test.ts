import fc from "fast-check";
import { BlockList } from "node:net";
import { describe, expect, it } from "vitest";
import { BLOCKED } from "#core/blocked-ranges.ts";
import { formatCidr, overlaps } from "#core/cidr.ts";
import { formatIp } from "#core/ip.ts";
import { checkNetwork, planNetwork, renderResolvConf, type NetworkPlan } from "#core/network.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { NetworkSpec } from "#core/sandbox.ts";

/** The contract's list, copied by hand, so that a range lost from the source is noticed. */
const CONTRACT_RANGES = [
  ..."10.0.0.0/8 100.64.0.0/10 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 198.18.0.0/15 240.0.0.0/4 34.118.224.0/20".split(
    " ",
  ),
  ..."224.0.0.0/4 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.51.100.0/24 203.0.113.0/24 168.63.129.16/32".split(" "),
  ..."fc00::/7 fe80::/10 2600:2d00:0:4::/64 ff00::/8 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/32 2001:2::/48".split(
    " ",
  ),
  ..."2001:db8::/32 2002::/16 3fff::/20 5f00::/16 2600:2d00:0:2::/63 127.0.0.0/8 0.0.0.0/8".split(" "),
];

const cluster = { clusterResolvers: ["10.0.0.53"] };

function thrownBy(spec: NetworkSpec): ProblemError | undefined {
  try {
    checkNetwork(spec);
    return undefined;
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
}

function family(text: string): "ipv4" | "ipv6" {
  return text.includes(":") ? "ipv6" : "ipv4";
}

/** Node's own range arithmetic: the independent judge. */
function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = "", prefix = ""] = range.split("/");
    list.addSubnet(address, Number(prefix), family(range));
  }
  return list;
}

function allows(plan: NetworkPlan, address: string, port: number): boolean {
  return plan.egress.some(
    (rule) =>
      family(rule.cidr) === family(address) &&
      listOf([rule.cidr]).check(address, family(address)) &&
      !listOf(rule.except.filter((except) => family(except) === family(address))).check(address, family(address)) &&
      (rule.ports === undefined || rule.ports.some((open) => open.port === port)),
  );
}

const v4 = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => formatIp({ version: 4, value }));
const v6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => formatIp({ version: 6, value }));
/** An address at or just beside the edge of a blocked range: where mistakes live. */
const edge = fc
  .tuple(fc.constantFrom(...BLOCKED), fc.constantFrom(-1n, 0n, 1n), fc.boolean())
  .map(([range, step, last]) => {
    const bits = range.version === 4 ? 32n : 128n;
    const size = 1n << (bits - BigInt(range.prefix));
    const value = (range.base + (last ? size - 1n : 0n) + step + (1n << bits)) % (1n << bits);
    return formatIp({ version: range.version, value });
  });
const address = fc.oneof(v4, v6, edge);
const cidrText = fc
  .tuple(address, fc.integer({ min: 0, max: 128 }))
  .map(([ip, prefix]) => `${ip}/${family(ip) === "ipv4" ? prefix % 33 : prefix}`);
const blockedV4 = listOf(BLOCKED.filter((range) => range.version === 4).map(formatCidr));
const blockedV6 = listOf(BLOCKED.filter((range) => range.version === 6).map(formatCidr));

function isBlocked(ip: string): boolean {
  return family(ip) === "ipv4" ? blockedV4.check(ip, "ipv4") : blockedV6.check(ip, "ipv6");
}

describe("BLOCKED", () => {
  it("holds each range of the contract", () => {
    expect(BLOCKED.map(formatCidr)).toEqual(expect.arrayContaining(CONTRACT_RANGES));
  });

  it("is pairwise disjoint, so that it can be a set with intervals", () => {
    const pairs = BLOCKED.flatMap((a, index) => BLOCKED.slice(index + 1).map((b) => [a, b] as const));
    expect(pairs.filter(([a, b]) => overlaps(a, b)).map((pair) => pair.map(formatCidr))).toEqual([]);
  });
});

describe("checkNetwork()", () => {
  it.each<[string, NetworkSpec, string | undefined]>([
    ["nothing", {}, undefined],
    ["the whole IPv4 internet as a CIDR", { allowedEgressCIDRs: ["0.0.0.0/0"] }, undefined],
    ["a range around a blocked one", { allowedEgressCIDRs: ["8.0.0.0/6"] }, undefined],
    ["a blocked range itself", { allowedEgressCIDRs: ["10.0.0.0/8"] }, "blocked-cidr"],
    ["a range inside a blocked one", { allowedEgressCIDRs: ["1.1.1.0/24", "10.1.2.3/32"] }, "blocked-cidr"],
    ["a blocked range written with host bits", { allowedEgressCIDRs: ["169.254.169.254/16"] }, "blocked-cidr"],
    ["loopback", { allowedEgressCIDRs: ["127.0.0.1/32"] }, "blocked-cidr"],
    ["0.0.0.0/8", { allowedEgressCIDRs: ["0.0.0.0/8"] }, "blocked-cidr"],
    ["an IPv4-mapped range", { allowIPv6Egress: true, allowedEgressCIDRs: ["::ffff:8.8.8.0/120"] }, "blocked-cidr"],
    [
      "a private range behind NAT64",
      { allowIPv6Egress: true, allowedEgressCIDRs: ["64:ff9b::a00:0/104"] },
      "blocked-cidr",
    ],
    [
      "a blocked range beside internet egress, where the list is ignored",
      { allowInternetEgress: true, allowedEgressCIDRs: ["10.0.0.0/8"] },
      undefined,
    ],
    [
      "a broken range even beside internet egress",
      { allowInternetEgress: true, allowedEgressCIDRs: ["10.0.0.0"] },
      "validation-failed",
    ],
    ["an IPv6 range without IPv6", { allowedEgressCIDRs: ["2606:4700::/32"] }, "validation-failed"],
    ["an IPv6 range with IPv6", { allowIPv6Egress: true, allowedEgressCIDRs: ["2606:4700::/32"] }, undefined],
    ["an IPv6 nameserver without IPv6", { nameservers: ["2606:4700::1111"] }, "validation-failed"],
    ["an IPv6 nameserver with IPv6", { allowIPv6Egress: true, nameservers: ["2606:4700::1111"] }, undefined],
    ["a private nameserver", { nameservers: ["10.0.0.53"] }, undefined],
    ["a nameserver with a port", { nameservers: ["1.1.1.1:53"] }, "validation-failed"],
    ["an IPv4-mapped nameserver", { allowIPv6Egress: true, nameservers: ["::ffff:1.1.1.1"] }, "validation-failed"],
    ["a name as a nameserver", { nameservers: ["dns.example"] }, "validation-failed"],
  ])("judges %s", (_, spec, slug) => expect(thrownBy(spec)?.slug).toBe(slug));

  it("names every fault and where it is", () => {
    const error = thrownBy({ allowedEgressCIDRs: ["1.1.1.1/32", "x"], nameservers: ["y"] });
    expect(error?.options.errors).toMatchObject([
      { location: "body.network.allowedEgressCIDRs[1]", value: "x" },
      { location: "body.network.nameservers[0]", value: "y" },
    ]);
    expect(error?.status).toBe(422);
  });

  it.each(CONTRACT_RANGES)("refuses the blocked range %s", (range) => {
    expect(thrownBy({ allowIPv6Egress: true, allowedEgressCIDRs: [range] })?.slug).toBe("blocked-cidr");
  });
});

describe("planNetwork() flows", () => {
  const internet = planNetwork({ allowInternetEgress: true }, cluster);
  const internet6 = planNetwork({ allowInternetEgress: true, allowIPv6Egress: true }, cluster);
  const ranges = planNetwork({ allowedEgressCIDRs: ["8.0.0.0/8", "34.0.0.0/8"] }, cluster);
  const named = planNetwork({ nameservers: ["10.9.9.9"] }, cluster);
  const dns = planNetwork({ allowClusterDNS: true }, cluster);

  it.each<[string, NetworkPlan, string, number, boolean]>([
    ["nothing is open by default", planNetwork({}, cluster), "8.8.8.8", 53, false],
    ["IPv6 alone opens nothing", planNetwork({ allowIPv6Egress: true }, cluster), "2606:4700::1", 443, false],
    [
      "a rate limit alone opens nothing",
      planNetwork({ egressRateLimitBytesPerSecond: 1 }, cluster),
      "8.8.8.8",
      53,
      false,
    ],
    ["internet reaches a public address", internet, "9.9.9.9", 443, true],
    ["internet leaves metadata out", internet, "169.254.169.254", 80, false],
    ["internet leaves IPv6 out", internet, "2606:4700::1", 443, false],
    ["internet does not open cluster DNS", internet, "10.0.0.53", 53, false],
    ["internet with IPv6 reaches both", internet6, "2606:4700::1", 443, true],
    ["internet with IPv6 leaves ULA out", internet6, "fd00::1", 443, false],
    ["internet with IPv6 leaves the private nets behind NAT64 out", internet6, "64:ff9b::a00:1", 443, false],
    ["internet with IPv6 keeps public NAT64", internet6, "64:ff9b::808:808", 443, true],
    ["a range is open on any port", ranges, "8.1.1.1", 12345, true],
    ["a blocked range inside an open one stays closed", ranges, "34.118.225.1", 443, false],
    ["a range opens the public resolvers on 53", ranges, "1.1.1.1", 53, true],
    ["and on 53 only", ranges, "1.1.1.1", 443, false],
    ["a nameserver is open on 53", named, "10.9.9.9", 53, true],
    ["and not on 54", named, "10.9.9.9", 54, false],
    ["cluster DNS is open on 53", dns, "10.0.0.53", 53, true],
    ["and not on 54 of the same host", dns, "10.0.0.53", 54, false],
    ["cluster DNS does not open public resolvers", dns, "8.8.8.8", 53, false],
    [
      "internet ignores the range list",
      planNetwork({ allowInternetEgress: true, allowedEgressCIDRs: ["10.0.0.0/8"] }, cluster),
      "10.1.1.1",
      80,
      false,
    ],
    [
      "a loopback nameserver opens nothing",
      planNetwork({ nameservers: ["127.0.0.1"] }, cluster),
      "127.0.0.1",
      53,
      false,
    ],
  ])("%s", (_, plan, ip, port, expected) => expect(allows(plan, ip, port)).toBe(expected));

  it("writes one rule for the same range twice", () => {
    const plan = planNetwork(
      { allowedEgressCIDRs: ["8.8.8.8/24", "8.8.8.0/24"], nameservers: ["9.9.9.9", "9.9.9.9"] },
      cluster,
    );
    expect(plan.egress.map((rule) => [rule.origin, rule.cidr])).toEqual([
      ["nameserver", "9.9.9.9/32"],
      ["cidr", "8.8.8.0/24"],
    ]);
  });

  it("never allows a blocked address, whatever the ranges", () => {
    const spec = fc.record({
      allowIPv6Egress: fc.constant(true),
      allowInternetEgress: fc.boolean(),
      allowedEgressCIDRs: fc.array(
        cidrText.filter((text) => thrownBy({ allowIPv6Egress: true, allowedEgressCIDRs: [text] }) === undefined),
        { maxLength: 4 },
      ),
    });
    fc.assert(
      fc.property(spec, fc.array(address, { minLength: 1, maxLength: 8 }), (network, addresses) => {
        const plan = planNetwork(network, cluster);
        const ranges = network.allowInternetEgress ? ["0.0.0.0/0", "::/0"] : network.allowedEgressCIDRs;
        for (const ip of addresses) {
          const inRange = listOf(ranges.filter((range) => family(range) === family(ip))).check(ip, family(ip));
          expect(allows(plan, ip, 443), ip).toBe(inRange && !isBlocked(ip));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("keeps IPv6 rules out without allowIPv6Egress", () => {
    const plan = planNetwork(
      { allowInternetEgress: true, allowClusterDNS: true },
      { clusterResolvers: ["fd00::53", "10.0.0.53"] },
    );
    expect(plan.egress.filter((rule) => rule.cidr.includes(":"))).toEqual([]);
    expect(plan.dns.nameservers).toEqual(["10.0.0.53"]);
  });
});

describe("planNetwork() DNS", () => {
  const sink = { nameservers: ["127.0.0.1"], options: ["ndots:1", "timeout:1", "attempts:1"] };
  const publicDns = { nameservers: ["8.8.8.8", "1.1.1.1"], options: ["ndots:1"] };

  it.each<[string, NetworkSpec, object]>([
    ["a sink when nothing is open", {}, sink],
    ["a sink when only IPv6 is set", { allowIPv6Egress: true }, sink],
    ["public resolvers with internet", { allowInternetEgress: true }, publicDns],
    ["public resolvers with ranges", { allowedEgressCIDRs: ["9.9.9.0/24"] }, publicDns],
    ["a sink with an empty list of ranges", { allowedEgressCIDRs: [], nameservers: [] }, sink],
    [
      "explicit nameservers first",
      { allowInternetEgress: true, nameservers: ["9.9.9.9"] },
      { nameservers: ["9.9.9.9"], options: ["ndots:1"] },
    ],
    [
      "cluster resolvers alone, even with ranges",
      { allowClusterDNS: true, allowedEgressCIDRs: ["9.9.9.0/24"] },
      { nameservers: ["10.0.0.53"], options: [] },
    ],
    [
      "cluster resolvers, then explicit ones",
      { allowClusterDNS: true, nameservers: ["9.9.9.9"] },
      { nameservers: ["10.0.0.53", "9.9.9.9"], options: [] },
    ],
  ])("is %s", (_, spec, dns) => expect(planNetwork(spec, cluster).dns).toEqual(dns));

  it("is a sink when the host's resolvers cannot be reached from a sandbox", () => {
    const plan = planNetwork({ allowClusterDNS: true }, { clusterResolvers: ["127.0.0.53", "::1", "fe80::1%eth0"] });
    expect(plan).toMatchObject({ dns: sink, egress: [] });
  });

  it("names at most three resolvers, the cluster's first", () => {
    const plan = planNetwork(
      { allowClusterDNS: true, nameservers: ["9.9.9.9", "9.9.9.10"] },
      { clusterResolvers: ["10.0.0.1", "10.0.0.2"] },
    );
    expect(plan.dns.nameservers).toEqual(["10.0.0.1", "10.0.0.2", "9.9.9.9"]);
  });

  it("becomes the text of resolv.conf", () => {
    expect(renderResolvConf(sink)).toBe("nameserver 127.0.0.1\noptions ndots:1 timeout:1 attempts:1\n");
    expect(renderResolvConf({ nameservers: ["10.0.0.53"], options: [] })).toBe("nameserver 10.0.0.53\n");
  });
});

describe("planNetwork() rate limit", () => {
  it.each([
    [10_000_000, 1_000_000],
    [1_000, 131_072],
    [1_310_729, 131_072],
    [1_310_730, 131_073],
    [1_000_000_000_000, 4_294_967_295],
  ])("gives %i bytes a second a burst of %i", (bytesPerSecond, burstBytes) => {
    expect(planNetwork({ egressRateLimitBytesPerSecond: bytesPerSecond }, cluster).rateLimit).toEqual({
      bytesPerSecond,
      burstBytes,
    });
  });

  it("is absent unless asked for", () => expect(planNetwork({}, cluster)).not.toHaveProperty("rateLimit"));
});
