import { KubeConfig } from "@kubernetes/client-node";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { delimiter, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import type { KubeCall, KubeClient, KubeFetch } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { NAMESPACES } from "#core/kubernetes/resources.ts";
import { createKubeFetch } from "#operator/node/kube-fetch.ts";
import { createLayout } from "#testbed/layout.ts";
import { testbedKubeconfig } from "#testbed/node/testbed.ts";

const CALL_MS = 30_000;

export interface Cluster {
  readonly kubeconfig: string;
  /** A client with the administrator's power, under the administrator's name or another; `isAlone` = with the rights of that name alone. */
  client(options?: { readonly as: string; readonly isAlone?: boolean }): KubeClient;
  /** Runs kubectl, or another program that came with the cluster, on this cluster. */
  run(program: string, args: readonly string[], input?: string): Promise<RunResult>;
}

export interface RunResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The cluster that `KUBECONFIG` names, else the testbed that is up, with its programs. */
export async function findCluster(): Promise<Cluster> {
  const named = process.env["KUBECONFIG"];
  const kubeconfig = named ?? (await testbedKubeconfig());
  if (kubeconfig === undefined) {
    throw new Error("No cluster to test on: start one with ./atoll testbed up, or name one by KUBECONFIG");
  }
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const programs = named === undefined ? [createLayout(join(dirname(kubeconfig), "..")).bin] : [];
  const path = [...programs, process.env["PATH"]].join(delimiter);
  return {
    kubeconfig,
    client: (options) => createKubeClient(fetchOf(config, options)),
    run: (program, args, input) =>
      run([program, ...args], { ...process.env, KUBECONFIG: kubeconfig, PATH: path }, input),
  };
}

/** What each call of a test carries. */
export function call(): KubeCall {
  return { signal: AbortSignal.timeout(CALL_MS) };
}

/** A namespace of this test alone, and how to remove it. */
export async function createNamespace(client: KubeClient, purpose: string): Promise<[string, () => Promise<unknown>]> {
  const name = `test-${purpose}-${randomBytes(4).toString("hex")}`;
  await client.create(NAMESPACES, { metadata: { name } }, call());
  return [name, () => client.remove(NAMESPACES, { name }, call())];
}

/** Another name keeps the administrator's group unless it is alone, so that admission alone decides. */
function fetchOf(config: KubeConfig, who: { readonly as: string; readonly isAlone?: boolean } | undefined): KubeFetch {
  const group = who?.isAlone === true ? "system:authenticated" : "system:masters";
  const impersonation = who === undefined ? {} : { "impersonate-user": who.as, "impersonate-group": group };
  const send = createKubeFetch(config, { userAgent: "atoll-test" });
  return (path, init) =>
    send(path, { ...init, headers: { ...Object.fromEntries(new Headers(init.headers)), ...impersonation } });
}

async function run([program = "", ...args]: readonly string[], env: NodeJS.ProcessEnv, input = ""): Promise<RunResult> {
  const child = spawn(program, args, { stdio: "pipe", env });
  child.stdin.end(input);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { stdout, stderr, exitCode };
}
