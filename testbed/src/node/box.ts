import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { systemClock } from "#core/clock.ts";
import { parseStartTicks } from "#cli/gateway/gateway-record.ts";
import { runStepTool } from "#cli/setup/node/step-tool.ts";
import { BOX, CGROUP, NETWORK, NODE_NAME, RECORD_FILE, type Layout } from "../layout.ts";
import { parseBoxRecord, type BoxRecord } from "../record.ts";
import { makeControlGroups, removeControlGroups } from "./control-groups.ts";

const NATIVE = join(import.meta.dirname, "../../native");
const BOX_PROGRAM = join(import.meta.dirname, "../entry/box.ts");
const POLL_MS = 10;
const JOIN_WITHIN_MS = 10_000;

export interface BoxStart {
  readonly layout: Layout;
  readonly repo: string;
  /** Folder of the CNI plugins. */
  readonly cniPlugins: string;
  readonly signal: AbortSignal;
}

/** The box that is up on this machine, whosever it is; undefined when there is none. */
export async function findBox(): Promise<BoxRecord | undefined> {
  const record = parseBoxRecord(await readFile(RECORD_FILE, "utf8").catch(() => ""));
  return record !== undefined && (await startTicksOf(record.pid)) === record.startTicks ? record : undefined;
}

/** Starts the box and joins it to the machine; its programs then start by themselves. */
export async function startBox({ layout, repo, cniPlugins, signal }: BoxStart): Promise<BoxRecord> {
  const { groups, leaf = "" } = await makeControlGroups();
  await mkdir(join(layout.state, "box"), { recursive: true });
  await mkdir(layout.logs, { recursive: true });
  const env = {
    PATH: process.env["PATH"],
    TESTBED_ROOT: layout.root,
    TESTBED_STATE: layout.state,
    TESTBED_PROGRAMS: layout.bin,
    TESTBED_CNI: cniPlugins,
    TESTBED_REPO: repo,
    TESTBED_NODE_NAME: NODE_NAME,
    TESTBED_PATH: BOX.searchPath,
    TESTBED_CGROUP: CGROUP,
    TESTBED_GROUPS: groups.join(" "),
    TESTBED_LEAF: leaf,
  };
  const supervisor = [process.execPath, BOX_PROGRAM, layout.root];
  const log = openSync(join(layout.logs, "box.log"), "a", 0o640);
  const words = [join(NATIVE, "start-box.sh"), "sh", join(NATIVE, "enter-box.sh"), ...supervisor];
  const child = spawn("sh", words, { cwd: "/", env, detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  child.unref();
  const pid = await firstProcessOf(child.pid ?? 0, layout, signal);
  const startTicks = (await startTicksOf(pid)) ?? 0;
  const record = { root: layout.root, pid, startTicks, startedAt: new Date(systemClock.now()).toISOString() };
  await saveRecord(record);
  await joinNetwork(pid, signal);
  return record;
}

/** Ends the box with all that it made: processes, mounts, links, rules, control groups, state. */
export async function endBox(layouts: readonly Layout[], signal: AbortSignal): Promise<void> {
  const box = await findBox();
  // The kernel ends every process of a process namespace with its first one.
  if (box !== undefined) process.kill(box.pid, "SIGKILL");
  await removeControlGroups(signal);
  await removeLink(signal);
  for (const { state } of layouts) await rm(state, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  await rm(RECORD_FILE, { force: true });
}

/** The program that made the namespaces waits for their first process, its only child. */
async function firstProcessOf(parent: number, { logs }: Layout, signal: AbortSignal): Promise<number> {
  const deadlineMs = systemClock.now() + JOIN_WITHIN_MS;
  while (systemClock.now() < deadlineMs) {
    const children = await readFile(`/proc/${parent}/task/${parent}/children`, "utf8").catch(() => undefined);
    if (children === undefined) break;
    const pid = Number.parseInt(children, 10);
    if (pid > 1 && (await isUnshared(parent))) return pid;
    await systemClock.sleep(POLL_MS, signal);
  }
  const said = (await readFile(join(logs, "box.log"), "utf8").catch(() => "")).trim().split("\n").at(-1) ?? "";
  throw new Error(`The testbed's box cannot be started: ${said === "" ? "it ended without a word" : said}.`);
}

/** Before that the only child may be one of the shell's. */
async function isUnshared(pid: number): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return command.split("\0").includes("--kill-child");
}

async function joinNetwork(pid: number, signal: AbortSignal): Promise<void> {
  const { link, hostIp, nodePrefix, nodeIp, podCidr, serviceCidr } = NETWORK;
  const ip = (...words: string[]): Promise<string> =>
    runStepTool(["ip", ...words], { signal, failure: "The testbed cannot be joined to this machine" });
  await ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", String(pid));
  await ip("address", "add", `${hostIp}/${nodePrefix}`, "dev", link);
  await ip("link", "set", link, "up");
  for (const range of [podCidr, serviceCidr]) await ip("route", "add", range, "via", nodeIp, "dev", link);
}

/** The link goes with the box's network namespace, which the kernel takes down at its leisure. */
async function removeLink(signal: AbortSignal): Promise<void> {
  const words = ["-j", "link", "show", "dev", NETWORK.link];
  const isThere = (): Promise<boolean> =>
    runStepTool(["ip", ...words], { signal, failure: "there is no link" }).then(
      () => true,
      () => false,
    );
  if (!(await isThere())) return;
  await runStepTool(["ip", "link", "delete", NETWORK.link], { signal, failure: "The link is gone" }).catch(() => "");
  while (await isThere()) await systemClock.sleep(POLL_MS, signal);
}

async function saveRecord(record: BoxRecord): Promise<void> {
  const part = `${RECORD_FILE}.part`;
  await mkdir(dirname(RECORD_FILE), { recursive: true });
  await writeFile(part, `${JSON.stringify(record, null, 2)}\n`);
  await chmod(part, 0o644);
  await rename(part, RECORD_FILE);
}

async function startTicksOf(pid: number): Promise<number | undefined> {
  return parseStartTicks(await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""));
}
