import { KubeConfig } from "@kubernetes/client-node";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Agent, request, type RequestOptions } from "node:https";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { KubeCall, KubeClient, KubeFetch } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { NAMESPACES } from "#core/kubernetes/resources.ts";

/** Where `atoll testbed up` leaves the administrator's access. */
const TESTBED_KUBECONFIG = new URL("../../.atoll/testbed/kubeconfig", import.meta.url).pathname;
const CALL_MS = 30_000;

export interface Cluster {
  readonly kubeconfig: string;
  /** A client with the administrator's power, under the administrator's name or another. */
  client(options?: { readonly as: string }): KubeClient;
  kubectl(args: readonly string[], input?: string): Promise<KubectlResult>;
}

export interface KubectlResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The cluster that `KUBECONFIG` names, else the testbed. */
export function findCluster(): Cluster {
  const kubeconfig = process.env["KUBECONFIG"] ?? TESTBED_KUBECONFIG;
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  return {
    kubeconfig,
    client: (options) => createKubeClient(fetchOf(config, options?.as)),
    kubectl: (args, input) => kubectl(kubeconfig, args, input),
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

/** Another name keeps the administrator's group, so that admission alone decides. */
function fetchOf(config: KubeConfig, as: string | undefined): KubeFetch {
  const agent = new Agent({ keepAlive: true });
  const server = config.getCurrentCluster()?.server ?? "";
  return async (path, init) => {
    const options: RequestOptions = { method: init.method ?? "GET", agent };
    if (init.signal) options.signal = init.signal;
    await config.applyToHTTPSOptions(options);
    const impersonation = as === undefined ? {} : { "impersonate-user": as, "impersonate-group": "system:masters" };
    // Node frames the body of a DELETE only when its length is said.
    const length = typeof init.body === "string" ? { "content-length": Buffer.byteLength(init.body) } : {};
    options.headers = { ...Object.fromEntries(new Headers(init.headers)), ...length, ...impersonation };
    const sent = request(new URL(path, server), { ...options, agent });
    sent.end(init.body);
    const [answer] = await once(sent, "response");
    return new Response(Readable.toWeb(answer) as ReadableStream, {
      status: answer.statusCode,
      headers: headersOf(answer.headers),
    });
  };
}

function headersOf(headers: Readonly<Record<string, unknown>>): [string, string][] {
  return Object.entries(headers).map(([name, value]) => [name, String(value)]);
}

async function kubectl(kubeconfig: string, args: readonly string[], input = ""): Promise<KubectlResult> {
  const program = process.env["KUBECTL"] ?? "kubectl";
  const child = spawn(program, ["--kubeconfig", kubeconfig, ...args], { stdio: "pipe" });
  child.stdin.end(input);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { stdout, stderr, exitCode };
}
