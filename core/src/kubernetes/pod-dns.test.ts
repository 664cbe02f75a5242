import { describe, expect, it } from "vitest";
import type { SandboxNetwork } from "#api/crd/sandbox.ts";
import { podDns, type PodDns } from "./pod-dns.ts";

const NDOTS = { name: "ndots", value: "1" };
const SINK: PodDns = {
  dnsPolicy: "None",
  dnsConfig: {
    nameservers: ["127.0.0.1"],
    options: [NDOTS, { name: "timeout", value: "1" }, { name: "attempts", value: "1" }],
  },
};
const none = (...nameservers: string[]): PodDns => ({
  dnsPolicy: "None",
  dnsConfig: { nameservers, options: [NDOTS] },
});

describe("podDns()", () => {
  it.each<[string, SandboxNetwork | undefined, PodDns]>([
    ["a sink without a network", undefined, SINK],
    ["a sink when nothing is open", { allowIPv6Egress: true, egressRateLimitBytesPerSecond: 9 }, SINK],
    ["public resolvers with internet egress", { allowInternetEgress: true }, none("8.8.8.8", "1.1.1.1")],
    ["public resolvers with ranges", { allowedEgressCIDRs: ["9.9.9.0/24"] }, none("8.8.8.8", "1.1.1.1")],
    [
      "the sandbox's own resolvers",
      { allowInternetEgress: true, nameservers: ["10.0.0.1", "9.9.9.9"] },
      none("10.0.0.1", "9.9.9.9"),
    ],
    [
      "the cluster's resolver",
      { allowClusterDNS: true, allowedEgressCIDRs: ["9.9.9.0/24"] },
      { dnsPolicy: "ClusterFirst" },
    ],
    [
      "the cluster's resolver, then the sandbox's own",
      { allowClusterDNS: true, allowIPv6Egress: true, nameservers: ["9.9.9.9", "2606:4700:0::1111", "9.9.9.9"] },
      { dnsPolicy: "ClusterFirst", dnsConfig: { nameservers: ["9.9.9.9", "2606:4700::1111"] } },
    ],
  ])("is %s", (_, network, dns) => expect(podDns(network)).toEqual(dns));

  it("throws for a resolver that cannot be read", () =>
    expect(() => podDns({ nameservers: ["dns.example"] })).toThrow(/dns\.example/));
});
