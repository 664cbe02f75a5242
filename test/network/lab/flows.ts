import { mkdir, readFile } from "node:fs/promises";
import { silentLog } from "#core/log.ts";
import { planNetwork } from "#core/network.ts";
import { createNet, type Link, type Net } from "#runtime/backend/local/node/net.ts";
import { DEFAULT_NET } from "#runtime/backend/local/network.ts";
import { policyRules } from "#runtime/backend/local/nft.ts";
import { CLUSTER_RESOLVERS, FLOWS, SANDBOXES, type Flow } from "../flow-table.ts";
import type { LabReport, Outcome } from "../lab-report.ts";
import { bootGuest } from "./guest.ts";
import { HOST, buildInternet, pythonIn, startPeer } from "./internet.ts";
import { sh, type Dialogue } from "./shell.ts";

/**
 * The host of a small internet of its own. It is started as the first process of fresh network, mount and
 * process namespaces, so that the kernel removes everything of it with this process, however it ends.
 */
const [, , rootfs = "", runsc = "", mode = ""] = process.argv;

const PROTOCOL = { tcp: 6, udp: 17, hole: 17, spoof: 17, protocol: 253 } as const;
/** Of a small rate: the least that a bucket holds. */
const BURST_BYTES = 131_072;
const UPLOAD = { bytes: 700_000, bytesPerSecond: 400_000 };
/** Sandboxes whose flows gVisor repeats, each in a guest of its own. */
const GUESTS = ["ranges", "internet6"] as const;

interface World {
  readonly net: Net;
  readonly links: ReadonlyMap<string, Link>;
  readonly peers: ReadonlyMap<string, Dialogue>;
  readonly probe: string;
}

async function build(): Promise<World> {
  for (const dir of ["/run/netns", "/run/guests", "/run/runsc"]) await mkdir(dir, { recursive: true });
  await buildInternet([DEFAULT_NET.pool4, DEFAULT_NET.pool6]);
  const net = await createNet(DEFAULT_NET, { log: silentLog });
  const links = new Map<string, Link>();
  await Promise.all(
    [...Object.keys(SANDBOXES), "policed", ...GUESTS.map((name) => `guest ${name}`)].map(async (name) =>
      links.set(name, await net.attach()),
    ),
  );
  const peers = new Map<string, Dialogue>();
  const sites = [
    ["wan", "wan"],
    ["lan", "lan"],
    ["host", undefined],
    ["victim", linkIn(links, "victim").netns],
  ] as const;
  await Promise.all(sites.map(async ([name, netns]) => peers.set(name, await startPeer(rootfs, netns))));
  return { net, links, peers, probe: await readFile(new URL("probe.py", import.meta.url), "utf8") };
}

function linkIn(links: ReadonlyMap<string, Link>, name: string): Link {
  const link = links.get(name);
  if (link === undefined) throw new Error(`The lab has no sandbox "${name}"`);
  return link;
}

/** The address behind a name of the flow table, seen from one sandbox. */
function addressOf(world: World, name: string, from: string): string {
  const victim = linkIn(world.links, "victim");
  const own = world.links.get(from) ?? victim;
  const names: Record<string, string> = {
    own: own.ipv4.guest,
    "own-gateway": own.ipv4.host,
    "own-gateway6": own.ipv6.host,
    victim: victim.ipv4.guest,
    victim6: victim.ipv6.guest,
    "victim-gateway": victim.ipv4.host,
    "host-wan": HOST.wan,
    "host-wan6": HOST.wan6,
    "host-lan": HOST.lan,
  };
  return names[name] ?? name;
}

/** Flows with their addresses resolved; each is known by its own source port. */
function request(world: World, flows: readonly Flow[], portBase: number): { id: string; sport: number }[] {
  return flows.map((flow) => ({
    ...flow,
    id: flow.name,
    sport: portBase + FLOWS.indexOf(flow),
    dst: addressOf(world, flow.dst, flow.from),
    ...(flow.src === undefined ? {} : { src: addressOf(world, flow.src, flow.from) }),
  }));
}

/** Sends all flows from plain namespaces, one program for each sender. */
async function send(world: World, flows: readonly Flow[], portBase: number): Promise<Outcome[]> {
  const answers = await Promise.all(
    [...Map.groupBy(flows, ({ from }) => from)].map(async ([from, own]) => {
      const netns = world.links.get(from)?.netns ?? from;
      const out = await sh(...pythonIn(rootfs, netns, [world.probe, JSON.stringify(request(world, own, portBase))]));
      return JSON.parse(out) as { id: string; answer: string }[];
    }),
  );
  return outcomes(world, flows, portBase, answers.flat());
}

/** Joins what the senders learned with what the receivers saw. */
async function outcomes(
  world: World,
  flows: readonly Flow[],
  portBase: number,
  answers: readonly { id: string; answer: string }[],
): Promise<Outcome[]> {
  const seen = new Set<string>();
  for (const peer of world.peers.values())
    for (const mark of JSON.parse(await peer.ask("seen")) as string[]) seen.add(mark);
  return flows.map((flow) => {
    const isV6 = addressOf(world, flow.dst, flow.from).includes(":");
    const protocol = flow.kind === "icmp" ? (isV6 ? 58 : 1) : PROTOCOL[flow.kind];
    const answer = answers.find(({ id }) => id === flow.name)?.answer ?? "missing";
    return { name: flow.name, answer, arrived: seen.has(`${protocol}:${portBase + FLOWS.indexOf(flow)}`) };
  });
}

/** The same flows out of real gVisor, whose policy comes after its boot; then a shaped upload. */
async function runGuest(world: World, policy: string, portBase: number): Promise<LabReport["guests"][number]> {
  const flows = FLOWS.filter(({ from, kind }) => from === policy && ["tcp", "udp", "icmp"].includes(kind));
  const link = linkIn(world.links, `guest ${policy}`);
  const upload = {
    id: "upload",
    kind: "upload",
    dst: "9.9.9.9",
    port: 9000,
    sport: portBase + 5000,
    bytes: UPLOAD.bytes,
  };
  const requests = JSON.stringify([...request(world, flows, portBase), upload]);
  const start = await bootGuest(runsc, rootfs, link, ["/usr/bin/python3", "-c", world.probe, requests]);
  const spec = { ...SANDBOXES[policy], egressRateLimitBytesPerSecond: UPLOAD.bytesPerSecond };
  await world.net.apply(link, planNetwork(spec, { clusterResolvers: CLUSTER_RESOLVERS }));
  const answers = JSON.parse(await start()) as { id: string; answer: string }[];
  const tookMs = Number(answers.find(({ id }) => id === "upload")?.answer);
  return {
    flows: await outcomes(world, flows, portBase, answers),
    upload: { ...UPLOAD, bucketBytes: BURST_BYTES, tookMs },
  };
}

/** The rate limit of a kernel that cannot shape: rules that drop. Sent from a plain namespace. */
async function runPoliced(world: World): Promise<LabReport["policed"]> {
  const link = linkIn(world.links, "policed");
  const plan = planNetwork({ allowInternetEgress: true }, { clusterResolvers: [] });
  const police = { bytesPerSecond: UPLOAD.bytesPerSecond, burstBytes: BURST_BYTES };
  await sh("nft", ["-f", "-"], policyRules(DEFAULT_NET, link, plan, { police }));
  const upload = { id: "upload", kind: "upload", dst: "9.9.9.9", port: 9000, sport: 60_000, bytes: UPLOAD.bytes };
  const out = await sh(...pythonIn(rootfs, link.netns, [world.probe, JSON.stringify([upload])]));
  const [answer] = JSON.parse(out) as { answer: string }[];
  return { ...UPLOAD, bucketBytes: UPLOAD.bytesPerSecond, tookMs: Number(answer?.answer) };
}

async function applyAll(world: World): Promise<void> {
  const policies = Object.entries(SANDBOXES).flatMap(([name, spec]) => (spec === undefined ? [] : [{ name, spec }]));
  await Promise.all(
    policies.map(({ name, spec }) =>
      world.net.apply(linkIn(world.links, name), planNetwork(spec, { clusterResolvers: CLUSTER_RESOLVERS })),
    ),
  );
}

/** Connections that the host tracks for any sandbox. */
async function trackedConnections(): Promise<string[]> {
  const families = [
    ["-s", DEFAULT_NET.pool4],
    ["-f", "ipv6", "-s", DEFAULT_NET.pool6],
  ];
  const texts = await Promise.all(families.map((args) => sh("conntrack", ["-L", ...args])));
  return texts
    .join("")
    .split("\n")
    .filter((line) => line !== "");
}

async function main(): Promise<void> {
  const world = await build();
  await applyAll(world);
  if (mode === "hang") {
    console.log("hanging");
    await new Promise((resolve) => process.stdin.on("end", resolve).resume());
    return;
  }
  const enforced = await send(world, FLOWS, 20_000);
  const guests = await Promise.all(GUESTS.map((policy, index) => runGuest(world, policy, 40_000 + 10_000 * index)));
  const policed = await runPoliced(world);
  // The control: the same denied flows with the rules gone must arrive, or their denial proves nothing.
  await world.net.remove();
  const deniedFlows = FLOWS.filter((flow) => (!flow.arrives || flow.kind === "hole") && flow.control !== false);
  const control = await send(world, deniedFlows, 30_000);
  for (const peer of world.peers.values()) peer.child.kill("SIGKILL");
  await world.net.init();
  const tracked = await trackedConnections();
  await Promise.all((await world.net.list()).map((link) => world.net.detach(link)));
  const left = [...(await world.net.list()).map(({ ifname }) => ifname), ...(await trackedConnections())];
  await world.net.remove();
  const report: LabReport = {
    enforced,
    guests,
    policed,
    control,
    left,
    trackedBefore: tracked.length,
    tables: await sh("nft", ["list", "tables"]),
  };
  console.log(JSON.stringify(report));
}

await main();
