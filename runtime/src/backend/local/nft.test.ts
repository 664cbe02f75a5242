import { describe, expect, it } from "vitest";
import { planNetwork, type EgressRule, type NetworkPlan } from "#core/network.ts";
import type { NetworkSpec } from "#core/sandbox.ts";
import { DEFAULT_NET, linkOf } from "./network.ts";
import { baseRules, indexOfChain, policyRules, removePolicy, removeTable } from "./nft.ts";

const link = linkOf(DEFAULT_NET, 5);

function planOf(spec: NetworkSpec): NetworkPlan {
  return planNetwork(spec, { clusterResolvers: ["10.0.0.53"] });
}

/** The accepting rules of a policy, without their common beginning. */
function accepts(plan: NetworkPlan): string[] {
  const start = "add rule inet atoll link-5 ";
  const lines = policyRules(DEFAULT_NET, link, plan).split("\n");
  return lines
    .filter((line) => line.startsWith(start) && line.endsWith(" accept"))
    .map((line) => line.slice(start.length, -7));
}

function withRule(rule: Partial<EgressRule>): NetworkPlan {
  return { ...planOf({}), egress: [{ origin: "cidr", cidr: "8.0.0.0/8", except: [], ...rule }] };
}

describe("policyRules()", () => {
  it.each<[NetworkSpec, string[]]>([
    [{}, []],
    [{ allowInternetEgress: true }, ["meta nfproto ipv4 ip daddr != @blocked4"]],
    [
      { allowInternetEgress: true, allowIPv6Egress: true },
      ["meta nfproto ipv4 ip daddr != @blocked4", "meta nfproto ipv6 ip6 daddr != @blocked6"],
    ],
    [{ allowClusterDNS: true }, ["ip daddr 10.0.0.53/32 udp dport 53", "ip daddr 10.0.0.53/32 tcp dport 53"]],
    [
      { allowedEgressCIDRs: ["34.0.0.0/8"], nameservers: ["10.9.9.9"] },
      [
        "ip daddr 10.9.9.9/32 udp dport 53",
        "ip daddr 10.9.9.9/32 tcp dport 53",
        "ip daddr 34.0.0.0/8 ip daddr != @blocked4",
      ],
    ],
  ])("of %j accepts %j", (spec, rules) => expect(accepts(planOf(spec))).toEqual(rules));

  it("writes exceptions other than the usual ones out", () => {
    expect(accepts(withRule({ except: ["8.8.0.0/16", "8.9.0.0/16"] }))).toEqual([
      "ip daddr 8.0.0.0/8 ip daddr != { 8.8.0.0/16, 8.9.0.0/16 }",
    ]);
    expect(accepts(withRule({ cidr: "34.0.0.0/8", except: ["34.1.0.0/16"] }))).toEqual([
      "ip daddr 34.0.0.0/8 ip daddr != { 34.1.0.0/16 }",
    ]);
  });

  it("names only its own link and chain, and denies last", () => {
    const lines = policyRules(DEFAULT_NET, link, planOf({ allowInternetEgress: true }))
      .trim()
      .split("\n");
    expect(lines.every((line) => line.includes("inet atoll "))).toBe(true);
    expect(lines.findLast((line) => line.startsWith("add rule"))).toBe("add rule inet atoll link-5 goto deny");
    expect(lines).toContain('add element inet atoll policies { "atoll-5" : goto link-5 }');
    expect(lines).toContain('add element inet atoll sources4 { "atoll-5" . 10.201.0.11 }');
  });

  it.each([
    [1000, 1000, 130_072],
    [400_000, 400_000, 0],
    [1_000_000_000_000, 10_000_000_000, 0],
  ])("polices %i bytes a second before anything else where it cannot be shaped", (bytesPerSecond, rate, burst) => {
    const police = { bytesPerSecond, burstBytes: 131_072 };
    const rules = policyRules(DEFAULT_NET, link, planOf({}), { police }).split("\n");
    expect(rules.find((line) => line.startsWith("add rule"))).toBe(
      `add rule inet atoll link-5 limit rate over ${rate} bytes/second burst ${burst} bytes drop`,
    );
  });
});

describe("every transaction", () => {
  const all = [baseRules, removeTable].map((render) => render({ ...DEFAULT_NET, name: "other" }));
  const policies = [
    policyRules(DEFAULT_NET, link, planOf({ allowedEgressCIDRs: ["0.0.0.0/0"] })),
    removePolicy(DEFAULT_NET, link),
  ];

  it("touches the one table only", () => {
    const tables = [...all, ...policies]
      .flatMap((text) => text.trim().split("\n"))
      .map((line) => / (\w+ \w+)/.exec(line.replace(/^(add|flush|delete) \w+/, ""))?.[1]);
    expect(new Set(tables)).toEqual(new Set(["inet atoll", "inet other"]));
  });
});

describe("indexOfChain()", () => {
  it.each([
    ["link-5", 5],
    ["forward", undefined],
    ["link-", undefined],
    ["link-5x", undefined],
  ])("of %s is %s", (chain, index) => expect(indexOfChain(chain)).toBe(index));
});
