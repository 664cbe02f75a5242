import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, readdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLog } from "#core/log.ts";
import { planNetwork } from "#core/network.ts";
import { netCapabilities } from "#runtime/backend/local/node/net-capabilities.ts";
import { createNet, type Net } from "#runtime/backend/local/node/net.ts";
import { DEFAULT_NET } from "#runtime/backend/local/network.ts";
import { policyRules } from "#runtime/backend/local/nft.ts";
import type { LifeReport } from "../lab-report.ts";
import { sh } from "./shell.ts";

/** Links through crashes and restarts, on a host of its own with one way out. */
const ROUNDS = 10;
const TOOLS = new Set(["ip", "nft", "tc", "conntrack"]);
const plan = planNetwork({ allowInternetEgress: true, allowIPv6Egress: true }, { clusterResolvers: [] });

/** Everything on the host that could belong to a sandbox. */
async function traces(): Promise<string[]> {
  const [links, namespaces, rules] = await Promise.all([
    sh("ip", ["-o", "link", "show"]),
    readdir("/run/netns"),
    sh("nft", ["list", "ruleset"]),
  ]);
  const found = [...`${links}\n${rules}`.matchAll(/\b(?:atoll|link)-\d+\b/g)].map(([name]) => name);
  return [...new Set([...found, ...namespaces])];
}

async function detachAll(net: Net): Promise<void> {
  await Promise.all((await net.list()).map((link) => net.detach(link)));
}

/** Kills a busy process at a random moment, then does what a new start does. */
async function crash(round: number): Promise<string[]> {
  const child = spawn(process.execPath, [new URL("churn.ts", import.meta.url).pathname], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await once(child.stdout, "data");
  await sleep(round * 7);
  child.kill("SIGKILL");
  await once(child, "close");
  // A tool that was running outlives its starter by some milliseconds.
  while (await isToolRunning()) await sleep(5);
  const net = await createNet(DEFAULT_NET, { log: silentLog });
  await detachAll(net);
  return traces();
}

async function isToolRunning(): Promise<boolean> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const states = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")));
  return states.some((stat) => {
    const [, name = "", state = ""] = /\((.*)\) (\S)/.exec(stat) ?? [];
    return TOOLS.has(name) && state !== "Z";
  });
}

async function restart(): Promise<LifeReport["restart"]> {
  const first = await createNet(DEFAULT_NET, { log: silentLog });
  const link = await first.attach();
  await first.apply(link, plan);
  const rules = async (): Promise<string> =>
    sh("nft", ["list", "chain", "inet", DEFAULT_NET.name, `link-${link.index}`]);
  const before = await rules();
  await first.close();
  const second = await createNet(DEFAULT_NET, { log: silentLog });
  const kept = (await rules()) === before;
  const next = await second.attach();
  const found = (await second.list()).map(({ index }) => index);
  await Promise.all([second.detach(link), second.detach(link)]);
  await detachAll(second);
  return { kept, reused: next.index === link.index, found };
}

/** The smallest and largest rate of the API, on both ways to limit; the lines that the tools answer with. */
async function extremes(): Promise<string[]> {
  const net = await createNet(DEFAULT_NET, { log: silentLog });
  const link = await net.attach();
  const shown: string[] = [];
  for (const rate of [1, 1_000_000_000_000]) {
    const limited = planNetwork({ egressRateLimitBytesPerSecond: rate }, { clusterResolvers: [] });
    await net.apply(link, limited);
    const shaped = await sh("tc", ["-n", link.netns, "qdisc", "show", "dev", link.guestIfname]);
    await sh(
      "nft",
      ["-f", "-"],
      policyRules(DEFAULT_NET, link, limited, limited.rateLimit && { police: limited.rateLimit }),
    );
    shown.push(/ rate (\S+)/.exec(shaped)?.[1] ?? shaped);
  }
  await net.apply(link, plan);
  shown.push(
    /qdisc (\w+)/.exec(await sh("tc", ["-n", link.netns, "qdisc", "show", "dev", link.guestIfname]))?.[1] ?? "",
  );
  await net.detach(link);
  return shown;
}

async function foreign(): Promise<LifeReport["foreign"]> {
  await sh(
    "nft",
    ["-f", "-"],
    "table ip other {\n chain fence { type filter hook forward priority 0; policy drop; }\n}\n",
  );
  const before = await sh("nft", ["list", "table", "ip", "other"]);
  const net = await createNet(DEFAULT_NET, { log: silentLog });
  const link = await net.attach();
  await net.apply(link, plan);
  const { foreignDrops } = await netCapabilities(DEFAULT_NET);
  await net.detach(link);
  await net.remove();
  const untouched = (await sh("nft", ["list", "table", "ip", "other"])) === before;
  return { untouched, foreignDrops, tables: await sh("nft", ["list", "tables"]) };
}

/** A table of the same name that the rules do not fit into. */
async function otherVersion(): Promise<boolean> {
  const table = `inet ${DEFAULT_NET.name}`;
  const old = [
    `add table ${table}`,
    `delete table ${table}`,
    `add table ${table}`,
    `add set ${table} sources4 { type ipv4_addr; }`,
  ];
  await sh("nft", ["-f", "-"], `${old.join("\n")}\n`);
  const net = await createNet(DEFAULT_NET, { log: silentLog });
  const link = await net.attach();
  await net.apply(link, plan);
  await detachAll(net);
  return (await net.list()).length === 0;
}

async function clash(): Promise<string> {
  await sh("ip", ["route", "add", "10.201.128.0/17", "via", "5.5.5.1"]);
  return createNet(DEFAULT_NET, { log: silentLog }).then(
    () => "no clash",
    (error: Error) => error.message,
  );
}

await mkdir("/run/netns", { recursive: true });
await sh(
  "ip",
  ["-batch", "-"],
  `
link set lo up
link add wan0 mtu 1400 type veth peer name wan1
link set wan1 up
link set wan0 up
addr add 5.5.5.2/24 dev wan0
addr add 2a00:5::2/64 dev wan0 nodad
route add default via 5.5.5.1
`,
);
const leftovers: string[][] = [];
for (let round = 0; round < ROUNDS; round += 1) leftovers.push(await crash(round));
const report: LifeReport = {
  leftovers,
  restart: await restart(),
  otherVersion: await otherVersion(),
  rates: await extremes(),
  foreign: await foreign(),
  capabilities: await netCapabilities(DEFAULT_NET),
  clash: await clash(),
};
console.log(JSON.stringify(report));
