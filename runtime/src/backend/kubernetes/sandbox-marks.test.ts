import { describe, expect, it } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { AGENT_NONCE_HEADER, AGENT_PROOF_HEADER } from "#api/agent-protocol.ts";
import { deriveAgentKey, generateMasterKey, proveAgent } from "#core/agent-proof.ts";
import { generateAgentKeys } from "#core/agent-token.ts";
import type { KubeFetch } from "#core/kubernetes/client.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { Agents } from "./agents.ts";
import { KubernetesBackend } from "./backend.ts";

const { privateKey, publicKey } = await generateAgentKeys();
const KEYS = { gatewayPrivateKey: privateKey, gatewayPublicKey: publicKey, agentMasterKey: generateMasterKey() };
const AT = "2026-11-01T10:00:00Z";
const FIRST = "00000000-0000-4000-8000-000000000001";
const SECOND = "00000000-0000-4000-8000-000000000002";
const { signal } = new AbortController();
const call = { signal, log: silentLog };
type Texts = Readonly<Record<string, string>>;

const pod = (uid: string): KubeObject =>
  ({
    metadata: {
      name: "box-pod",
      namespace: "boxes",
      uid,
      resourceVersion: "3",
      ownerReferences: [{ apiVersion: "v1", kind: "Sandbox", name: "box", uid: "box-1" }],
    },
    spec: { containers: [] },
    status: { phase: "Running", podIP: "10.0.0.9" },
  }) as KubeObject;

const READY = { type: "Ready", status: "True", reason: "PodRunning", message: "", lastTransitionTime: AT } as const;

/** The one sandbox of an API server, with a version that its writes must name if they name one. */
class Server {
  version = 5;
  annotations: Texts = {};
  isReady = false;
  readonly patches: unknown[] = [];
  /** Called before a patch is looked at. */
  beforePatch: () => void = () => undefined;

  get box(): SandboxResource {
    const metadata = { name: "box", namespace: "boxes", uid: "box-1", creationTimestamp: AT };
    return {
      metadata: { ...metadata, resourceVersion: String(this.version), annotations: this.annotations },
      spec: { podTemplate: { spec: { containers: [{ name: "main", image: "i" }] } }, startupTimeoutSeconds: 9 },
      status: { conditions: this.isReady ? [READY] : [] },
    };
  }

  write(annotations: Readonly<Record<string, string | null>>): void {
    const all = Object.entries({ ...this.annotations, ...annotations });
    this.annotations = Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== null));
    this.version += 1;
  }

  readonly fetch: KubeFetch = async (path, { method, body }) => {
    if (path.includes("watch=")) return new Response(new ReadableStream());
    if (method === "PATCH") return this.patch(JSON.parse(body as string) as { metadata: PatchMetadata });
    if (path.endsWith("/sandboxes/box")) return Response.json(this.box);
    const items = path.includes("/sandboxes") ? [this.box] : [pod(FIRST)];
    return Response.json({ metadata: { resourceVersion: String(this.version) }, items });
  };

  private patch({ metadata }: { metadata: PatchMetadata }): Response {
    this.beforePatch();
    this.patches.push(metadata.annotations);
    const { resourceVersion = String(this.version) } = metadata;
    const isOld = metadata.uid !== "box-1" || resourceVersion !== String(this.version);
    if (isOld) return Response.json({ kind: "Status", code: 409, reason: "Conflict" }, { status: 409 });
    this.write(metadata.annotations);
    return Response.json(this.box);
  }
}

interface PatchMetadata {
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly annotations: Readonly<Record<string, string | null>>;
}

/** A gateway that has found the first pod up. */
async function gatewayOver(server: Server): Promise<KubernetesBackend> {
  const clock = createManualClock();
  const life = new AbortController();
  const client = createKubeClient(server.fetch, { clock });
  const options = { clock, log: silentLog, random: () => 0, query: { namespace: "boxes" } };
  const sandboxes = createInformer(client, SANDBOXES, options);
  const pods = createInformer(client, PODS, options);
  const key = await deriveAgentKey(KEYS.agentMasterKey, "box-1");
  const health = { status: "ok", version: "1", instance: "i", containers: [{ name: "main", pid: 1 }] };
  const answer = async ({ headers }: Request): Promise<Response> => {
    const proof = await proveAgent(key, headers.get(AGENT_NONCE_HEADER) ?? "");
    return Response.json(health, { headers: { [AGENT_PROOF_HEADER]: proof } });
  };
  const agents = new Agents({ clock, keys: () => KEYS, connect: () => ({ fetch: answer, close: () => undefined }) });
  const shared = { client, sandboxes, pods, agents, clock, log: silentLog, random: () => 0, namespace: "boxes" };
  const backend = new KubernetesBackend({
    ...shared,
    stop: async () => {
      life.abort(new Error("over"));
      await Promise.all(running);
    },
  });
  const running = [sandboxes, pods].map((informer) => informer.run(life.signal));
  const isUp = async (): Promise<void> => {
    for await (const { phase } of backend.watch("box", call)) if (phase === "Running") return;
  };
  await sandboxes.synced(signal);
  await clock.runUntil(isUp());
  return backend;
}

describe("the gateway's word of the pod that clients use", () => {
  it("goes with the confirmation, and needs no write of its own then", async () => {
    const server = new Server();
    server.annotations = { [ANNOTATION.provisional]: "true" };
    const gateway = await gatewayOver(server);
    await gateway.confirm("box", call);
    await gateway.agent("box", call);
    expect(server.patches).toEqual([{ [ANNOTATION.provisional]: null, [ANNOTATION.usedPod]: FIRST }]);
    await gateway.close();
  });

  it("is written once before the first requests, by whichever gateway is first", async () => {
    const server = new Server();
    const gateways = await Promise.all([gatewayOver(server), gatewayOver(server)]);
    await Promise.all(gateways.flatMap((gateway) => [gateway.agent("box", call), gateway.agent("box", call)]));
    for (const gateway of gateways) await gateway.agent("box", call);
    expect(server.annotations).toEqual({ [ANNOTATION.usedPod]: FIRST });
    expect([server.version, server.patches.length]).toEqual([6, 2]);
    for (const gateway of gateways) await gateway.close();
  });

  it("is not needed where the operator has said that the sandbox runs", async () => {
    const server = new Server();
    server.isReady = true;
    const gateway = await gatewayOver(server);
    await gateway.agent("box", call);
    expect(server.patches).toEqual([]);
    await gateway.close();
  });

  it("never replaces another's: who found another pod up sends nothing there", async () => {
    const server = new Server();
    const gateway = await gatewayOver(server);
    server.beforePatch = () => {
      if (server.annotations[ANNOTATION.usedPod] === undefined) server.write({ [ANNOTATION.usedPod]: SECOND });
    };
    await expect(gateway.agent("box", call)).rejects.toMatchObject({ slug: "sandbox-ended" });
    expect(server.annotations).toEqual({ [ANNOTATION.usedPod]: SECOND });
    await gateway.close();
  });

  it("comes before everything that is sent: without it the agent is not to be had", async () => {
    const server = new Server();
    const gateway = await gatewayOver(server);
    const caller = new AbortController();
    server.beforePatch = () => {
      caller.abort(new Error("gone away"));
      throw new Error("cut");
    };
    await expect(gateway.agent("box", { ...call, signal: caller.signal })).rejects.toThrow("gone away");
    await gateway.close();
  });
});
