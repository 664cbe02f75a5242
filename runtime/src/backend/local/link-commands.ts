import type { RateLimit } from "#core/network.ts";
import { GUEST_MAC, HOST_MAC, type Link } from "./network.ts";

export interface LinkOptions {
  /** Largest packet; that of the host's way out, so that nothing has to be cut there. */
  readonly mtu: number;
  /** False on a host without IPv6. */
  readonly ipv6: boolean;
}

/**
 * `ip -batch` on the host: namespace, link, host's end. Neighbours are fixed on both sides, so
 * neither ARP nor neighbour discovery is ever needed, and link-local addresses are not either.
 */
export function hostBatch(link: Link, options: LinkOptions): string {
  const { ifname, ipv4, ipv6 } = link;
  const peer = `peer name ${link.guestIfname} address ${GUEST_MAC} mtu ${options.mtu} netns ${link.netns}`;
  return lines([
    `netns add ${link.netns}`,
    `link add ${ifname} address ${HOST_MAC} mtu ${options.mtu} type veth ${peer}`,
    options.ipv6 && `link set ${ifname} addrgenmode none`,
    `addr add ${ipv4.host}/${ipv4.prefix} dev ${ifname}`,
    options.ipv6 && `addr add ${ipv6.host}/${ipv6.prefix} dev ${ifname} nodad`,
    `link set ${ifname} up`,
    `neigh replace ${ipv4.guest} lladdr ${GUEST_MAC} dev ${ifname} nud permanent`,
    options.ipv6 && `neigh replace ${ipv6.guest} lladdr ${GUEST_MAC} dev ${ifname} nud permanent`,
  ]);
}

/** `ip -batch` inside the namespace: what gVisor copies when the sandbox boots. */
export function guestBatch(link: Link, options: LinkOptions): string {
  const { guestIfname, ipv4, ipv6 } = link;
  return lines([
    "link set lo up",
    options.ipv6 && `link set ${guestIfname} addrgenmode none`,
    `addr add ${ipv4.guest}/${ipv4.prefix} dev ${guestIfname}`,
    options.ipv6 && `addr add ${ipv6.guest}/${ipv6.prefix} dev ${guestIfname} nodad`,
    `link set ${guestIfname} up`,
    `neigh replace ${ipv4.host} lladdr ${HOST_MAC} dev ${guestIfname} nud permanent`,
    options.ipv6 && `neigh replace ${ipv6.host} lladdr ${HOST_MAC} dev ${guestIfname} nud permanent`,
    `route add default via ${ipv4.host} dev ${guestIfname}`,
    options.ipv6 && `route add default via ${ipv6.host} dev ${guestIfname}`,
  ]);
}

/** What waits for its turn; with less, TCP out of gVisor loses whole bursts and stays far below the rate. */
const MIN_QUEUE_BYTES = 131_072;
const MAX_QUEUE_BYTES = 4_194_304;

/** `tc` arguments that shape what leaves the sandbox: a queue of a quarter of a second. */
export function shapeArguments(link: Link, limit: RateLimit): string[] {
  const queueBytes = Math.min(MIN_QUEUE_BYTES + Math.ceil(limit.bytesPerSecond / 4), MAX_QUEUE_BYTES);
  const tbf = `rate ${limit.bytesPerSecond}bps burst ${limit.burstBytes} limit ${queueBytes}`;
  return `-n ${link.netns} qdisc replace dev ${link.guestIfname} root tbf ${tbf}`.split(" ");
}

/** `tc` arguments that lift the limit again; fails when there is none. */
export function unshapeArguments(link: Link): string[] {
  return `-n ${link.netns} qdisc del dev ${link.guestIfname} root`.split(" ");
}

function lines(commands: readonly (string | false)[]): string {
  return `${commands.filter((command) => command !== false).join("\n")}\n`;
}
