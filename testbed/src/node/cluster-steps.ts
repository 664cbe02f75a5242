import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { systemClock } from "#core/clock.ts";
import { runStepTool } from "#cli/setup/node/step-tool.ts";
import type { SetupContext, SetupStep } from "#cli/setup/step.ts";
import { clusterDns } from "../config/cluster-dns.ts";
import { renderComponentFiles, renderEtc, type Files } from "../config/node-files.ts";
import { NODE_NAME, type Layout } from "../layout.ts";
import { findBox, startBox } from "./box.ts";
import { createBoxControl } from "./box-control.ts";
import { makeCertificates } from "./certificates.ts";
import { linkPrograms } from "./program-step.ts";
import { plantSeed } from "./registry-seed.ts";

export interface ClusterOptions {
  readonly layout: Layout;
  readonly cniPlugins: string;
  /** Folders of all programs of the node. */
  readonly programs: readonly string[];
  /** Folder of runsc and its shim. */
  readonly gvisor: string;
  /** What the registry starts with. */
  readonly seed: () => Promise<string>;
  readonly mayLowerOomScore: boolean;
}

const HEALTHY_WITHIN_MS = 120_000;
const READY_WITHIN_MS = 60_000;
const POLL_MS = 100;

/** Starts the node and waits until every component does its work. */
export function nodeStep(options: ClusterOptions): SetupStep {
  const { layout } = options;
  return {
    name: "node",
    title: "Node and control plane",
    check: async () => ({ needed: true }),
    async run({ repo, signal, progress }) {
      const config = join(layout.state, "config");
      progress({ detail: "certificates and configuration" });
      await linkPrograms(options.programs, layout.bin);
      await linkPrograms([options.gvisor], layout.gvisor);
      await mkdir(layout.state, { recursive: true, mode: 0o711 });
      await makeCertificates(join(config, "pki"), signal);
      await copyFile(join(config, "pki/admin.kubeconfig"), layout.kubeconfig);
      await writeFiles(config, renderComponentFiles());
      await writeFiles(join(layout.state, "etc"), renderEtc(options));
      await plantSeed(await options.seed(), join(layout.state, "node/var/lib/registry"), signal);
      progress({ detail: "starting" });
      await startBox({ layout, repo, cniPlugins: options.cniPlugins, signal });
      await untilHealthy(layout, { signal, progress });
      await untilReady(layout, signal);
    },
  };
}

/** Brings up the cluster's DNS and waits until it answers. */
export function clusterDnsStep(layout: Layout): SetupStep {
  return {
    name: "cluster-dns",
    title: "Cluster DNS",
    check: async () => ({ needed: true }),
    async run({ signal }) {
      const file = join(layout.state, "cluster-dns.json");
      await writeFile(file, JSON.stringify(clusterDns()));
      await kubectl(layout, ["apply", "--server-side", "-f", file], signal);
      await kubectl(layout, ["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s"], signal);
    },
  };
}

/** Runs the cluster's own kubectl as administrator. */
function kubectl(layout: Layout, words: readonly string[], signal: AbortSignal): Promise<string> {
  const command = [join(layout.bin, "kubectl"), `--kubeconfig=${layout.kubeconfig}`, ...words];
  return runStepTool(command, { signal, failure: "The cluster does not do as asked" });
}

async function untilHealthy(
  layout: Layout,
  { signal, progress }: Pick<SetupContext, "signal" | "progress">,
): Promise<void> {
  const control = createBoxControl(layout);
  const deadlineMs = systemClock.now() + HEALTHY_WITHIN_MS;
  for (;;) {
    const found = await control.components().catch(() => undefined);
    const waitingFor = (found ?? []).filter(({ healthy }) => !healthy).map(({ name }) => name);
    if (found !== undefined && waitingFor.length === 0) return;
    if ((await findBox()) === undefined) throw new Error(`The node ended as it started: ${await lastWords(layout)}.`);
    if (systemClock.now() > deadlineMs)
      throw new Error(`${waitingFor.join(", ") || "The node"} did not start; the logs are in ${layout.logs}.`);
    if (found !== undefined)
      progress({ fraction: 1 - waitingFor.length / found.length, detail: `waiting for ${waitingFor.join(", ")}` });
    await systemClock.sleep(POLL_MS, signal);
  }
}

async function untilReady(layout: Layout, signal: AbortSignal): Promise<void> {
  const timeout = `--timeout=${READY_WITHIN_MS / 1000}s`;
  const node = `node/${NODE_NAME}`;
  await kubectl(layout, ["wait", "--for=create", node, timeout], signal);
  await kubectl(layout, ["wait", "--for=condition=Ready", node, timeout], signal);
  // Pods are refused until their namespace has its account.
  await kubectl(layout, ["wait", "--for=create", "serviceaccount/default", timeout], signal);
}

async function lastWords({ logs }: Layout): Promise<string> {
  const log = await readFile(join(logs, "box.log"), "utf8").catch(() => "");
  return log.trim().split("\n").at(-1) || "it said nothing";
}

async function writeFiles(folder: string, files: Files): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}
