import type { SandboxNetwork } from "#api/crd/sandbox.ts";
import { formatIp, parseIp } from "#core/ip.ts";
import { planNetwork } from "#core/network.ts";
import type { PodDnsConfig, PodSpec } from "./pod.ts";

/** The pod's members that say how names are resolved. */
export type PodDns = Required<Pick<PodSpec, "dnsPolicy">> & Pick<PodSpec, "dnsConfig">;

/**
 * With cluster DNS kubelet names the cluster's resolver first and the sandbox's own after it;
 * otherwise resolv.conf is the plan's alone. Throws as `checkNetwork` does.
 */
export function podDns(network: SandboxNetwork = {}): PodDns {
  const { dns } = planNetwork(network, { clusterResolvers: [] });
  if (network.allowClusterDNS !== true) {
    return { dnsPolicy: "None", dnsConfig: { nameservers: dns.nameservers, options: dns.options.map(option) } };
  }
  const own = [...new Set((network.nameservers ?? []).flatMap((text) => parseIp(text) ?? []).map(formatIp))];
  return { dnsPolicy: "ClusterFirst", ...(own.length === 0 ? {} : { dnsConfig: { nameservers: own } }) };
}

/** `name:value` as Kubernetes writes it. */
function option(text: string): NonNullable<PodDnsConfig["options"]>[number] {
  const [name = "", value] = text.split(":");
  return value === undefined ? { name } : { name, value };
}
