import { readFile } from "node:fs/promises";
import { PRIVATE, PUBLIC } from "../flow-table.ts";
import { converse, sh, type Dialogue } from "./shell.ts";

/** Addresses of the lab's host, which is the namespace that this program runs in. */
export const HOST = { wan: "5.5.5.2", wan6: "2a00:5::2", lan: "192.168.50.2", lan6: "fd00:50::2" };

const TCP_PORTS = [53, 54, 80, 443, 7777, 8080, 8443, 9000];
const UDP_PORTS = [53, 54, 443, 7000];

/** Programs run in this Python, so that the machine needs none of its own. */
export function pythonIn(rootfs: string, netns: string | undefined, args: readonly string[]): [string, string[]] {
  const inside = ["chroot", rootfs, "/usr/bin/python3", "-c", ...args];
  return netns === undefined
    ? ["chroot", inside.slice(1)]
    : ["nsenter", [`--net=/run/netns/${netns}`, "--", ...inside]];
}

/**
 * Two hosts beyond this one: `wan` behind the default route with all the public addresses, `lan` with
 * private ones. Both know the way back to the sandboxes, so that only this host's rules are in between.
 */
export async function buildInternet(pools: readonly [string, string]): Promise<void> {
  const sysctls = {
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    "ipv4/icmp_ratemask": 0,
    "ipv6/icmp/ratelimit": 0,
  };
  await sh("sysctl", ["-q", ...Object.entries(sysctls).map(([key, value]) => `net/${key}=${value}`)]);
  await sh(
    "ip",
    ["-batch", "-"],
    `
link set lo up
netns add wan
netns add lan
link add wan0 type veth peer name eth0 netns wan
link add lan0 type veth peer name eth0 netns lan
addr add ${HOST.wan}/24 dev wan0
addr add ${HOST.wan6}/64 dev wan0 nodad
addr add ${HOST.lan}/24 dev lan0
addr add ${HOST.lan6}/64 dev lan0 nodad
link set wan0 up
link set lan0 up
`,
  );
  await Promise.all([
    host("wan", ["5.5.5.1/24", "2a00:5::1/64"], [HOST.wan, HOST.wan6], PUBLIC, pools),
    host("lan", ["192.168.50.1/24", "fd00:50::1/64"], [HOST.lan, HOST.lan6], PRIVATE, pools),
  ]);
  await sh(
    "ip",
    ["-batch", "-"],
    `
route add default via 5.5.5.1
route add default via 2a00:5::1
route add 10.9.0.0/16 via 192.168.50.1
route add 172.16.0.0/12 via 192.168.50.1
route add 192.168.77.0/24 via 192.168.50.1
route add fd00:9::/32 via fd00:50::1
`,
  );
}

async function host(
  name: string,
  own: readonly string[],
  router: readonly [string, string],
  addresses: readonly string[],
  pools: readonly [string, string],
): Promise<void> {
  await sh(
    "ip",
    ["-n", name, "-batch", "-"],
    `
link set lo up
${own.map((address) => `addr add ${address} dev eth0 ${address.includes(":") ? "nodad" : ""}`).join("\n")}
link set eth0 up
${addresses.map((address) => (address.includes(":") ? `addr add ${address}/128 dev lo nodad` : `addr add ${address}/32 dev lo`)).join("\n")}
route add ${pools[0]} via ${router[0]}
route add ${pools[1]} via ${router[1]}
`,
  );
}

/** Starts a host's services and its watch over what arrives. */
export async function startPeer(rootfs: string, netns: string | undefined): Promise<Dialogue> {
  const code = await readFile(new URL("peer.py", import.meta.url), "utf8");
  const options = { watch: netns === undefined ? null : ["eth0"], tcp: TCP_PORTS, udp: UDP_PORTS };
  return converse(...pythonIn(rootfs, netns, [code, JSON.stringify(options)]));
}
