import { describe, expect, it } from "vitest";
import { generateMasterKey } from "#core/agent-proof.ts";
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
const signal = new AbortController().signal;
const call = { signal, log: silentLog };

const box = {
  metadata: { name: "box", namespace: "boxes", uid: "box-1", resourceVersion: "5", creationTimestamp: AT },
  spec: { podTemplate: { spec: { containers: [{ name: "main", image: "i" }] } }, startupTimeoutSeconds: 9 },
  status: {
    conditions: [{ type: "Ready", status: "True", reason: "PodRunning", message: "", lastTransitionTime: AT }],
  },
};

function podOf(owner: string, going: object = {}): KubeObject {
  const ownerReferences = [{ apiVersion: "v1", kind: "Sandbox", name: "box", uid: owner }];
  const metadata = { name: "box-pod", namespace: "boxes", uid: "p", resourceVersion: "9", ownerReferences, ...going };
  return { metadata, spec: { containers: [] }, status: { phase: "Running", podIP: "10.0.0.9" } } as KubeObject;
}

const nothing = (): Response => Response.json({ kind: "Status", code: 404 }, { status: 404 });

interface Cluster {
  /** The copy's only sandbox. */
  readonly sandbox?: object;
  /** The copy's pods. */
  readonly copied?: readonly KubeObject[];
  readonly isAway?: boolean;
  /** The sandbox as the API server has it; removed by somebody else, which no watch has told yet, by default. */
  readonly there?: object;
}

/** A backend whose copies hold the box and these pods, while the API server itself has this one; or that waits for them. */
async function backendOver(
  pod: KubeObject | undefined,
  { sandbox = box, copied = [], isAway = false, there }: Cluster = {},
) {
  const clock = createManualClock();
  const life = new AbortController();
  const fetch: KubeFetch = async (path, init) => {
    if (path.includes("watch=")) return new Response(new ReadableStream());
    if (path.endsWith("/pods/box-pod")) return pod === undefined ? nothing() : Response.json(pod);
    if (path.endsWith("/sandboxes/box")) return there === undefined ? nothing() : Response.json(there);
    if (isAway) await clock.sleep(3_600_000, init.signal ?? undefined);
    const items = path.includes("/sandboxes") ? [sandbox] : copied;
    return Response.json({ metadata: { resourceVersion: "7" }, items });
  };
  const client = createKubeClient(fetch, { clock });
  const options = { clock, log: silentLog, random: () => 0, query: { namespace: "boxes" } };
  const sandboxes = createInformer(client, SANDBOXES, options);
  const pods = createInformer(client, PODS, options);
  const connected: string[] = [];
  const connect = (ip: string) => {
    connected.push(ip);
    return { fetch: () => Promise.reject(new Error("nobody")), close: () => undefined };
  };
  const agents = new Agents({ clock, keys: () => KEYS, connect });
  const running = [sandboxes, pods].map((informer) => informer.run(life.signal));
  const backend = new KubernetesBackend({
    client,
    sandboxes,
    pods,
    agents,
    clock,
    log: silentLog,
    random: () => 0,
    namespace: "boxes",
    stop: async () => {
      life.abort(new Error("over"));
      await Promise.all(running);
    },
  });
  if (!isAway) await Promise.all([sandboxes.synced(signal), pods.synced(signal)]);
  return { backend, pods, connected };
}

describe("KubernetesBackend", () => {
  it("lists what its copy holds, and nothing before it holds all: that would say that there are none", async () => {
    const { backend } = await backendOver(undefined);
    expect((await backend.list({})).items.map(({ id }) => id)).toEqual(["box"]);
    await backend.close();
    const { backend: early } = await backendOver(undefined, { isAway: true });
    await expect(early.list({})).rejects.toMatchObject({ slug: "unavailable" });
    await early.close();
  });

  it("knows a sandbox no more of which the API server says at its removal that there is none", async () => {
    const { backend } = await backendOver(undefined);
    expect(await backend.get("box", call)).toMatchObject({ id: "box" });
    await backend.remove("box", call);
    await expect(backend.get("box", call)).rejects.toMatchObject({ slug: "sandbox-not-found" });
    await backend.close();
  });

  it("finds the agent in a pod that its copy lacks", async () => {
    const { backend, pods, connected } = await backendOver(podOf("box-1"));
    await backend.agent("box", call);
    expect(connected).toEqual(["10.0.0.9"]);
    expect(pods.size).toBe(1);
    await backend.close();
  });

  it("finds the agent where the operator says that it is, when its copy's pod has no address yet", async () => {
    const early = { ...podOf("box-1"), status: { phase: "Pending" } };
    const sandbox = { ...box, status: { ...box.status, podIP: "10.0.0.8" } };
    const { backend, connected } = await backendOver(undefined, { sandbox, copied: [early] });
    await backend.agent("box", call);
    expect(connected).toEqual(["10.0.0.8"]);
    await backend.close();
  });

  it("uses a sandbox at once in the pod that clients used before the gateway was started again", async () => {
    const [used, other] = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"];
    const metadata = { ...box.metadata, annotations: { [ANNOTATION.usedPod]: used } };
    // The operator has not said yet that it runs.
    const sandbox = { ...box, metadata, status: {} };
    const { backend, connected } = await backendOver(undefined, { sandbox, copied: [podOf("box-1", { uid: used })] });
    expect(await backend.get("box", call)).toMatchObject({ phase: "Running" });
    await backend.agent("box", call);
    expect(connected).toEqual(["10.0.0.9"]);
    await backend.close();
    const copied = [podOf("box-1", { uid: other })];
    const robbed = await backendOver(undefined, { sandbox, there: sandbox, copied });
    await expect(robbed.backend.agent("box", call)).rejects.toMatchObject({ slug: "sandbox-not-ready" });
    expect(robbed.connected).toEqual([]);
    await robbed.backend.close();
  });

  it("uses a sandbox that runs by the API server's word, though its copy is behind", async () => {
    const there = { ...box, metadata: { ...box.metadata, resourceVersion: "8" } };
    const { backend, connected } = await backendOver(podOf("box-1"), { sandbox: { ...box, status: {} }, there });
    expect(await backend.get("box", call)).toMatchObject({ phase: "Pending" });
    await backend.agent("box", call);
    expect(connected).toEqual(["10.0.0.9"]);
    await backend.close();
  });

  it("says of a sandbox that does not run whether it is there at all", async () => {
    const early = { ...box, status: {} };
    const { backend } = await backendOver(undefined, { sandbox: early, there: early });
    await expect(backend.agent("box", call)).rejects.toMatchObject({ slug: "sandbox-not-ready" });
    await backend.close();
    const { backend: robbed } = await backendOver(undefined, { sandbox: early });
    await expect(robbed.agent("box", call)).rejects.toMatchObject({ slug: "sandbox-not-found" });
    await robbed.close();
  });

  it.each([
    { what: "no pod", pod: undefined, kept: 0 },
    { what: "the pod of another sandbox of its name", pod: podOf("box-2"), kept: 0 },
    { what: "a pod that goes", pod: podOf("box-1", { deletionTimestamp: AT }), kept: 1 },
  ])("says that a sandbox has ended for which there is $what, and connects to nobody", async ({ pod, kept }) => {
    const { backend, pods, connected } = await backendOver(pod);
    await expect(backend.agent("box", call)).rejects.toMatchObject({ slug: "sandbox-ended" });
    expect(connected).toEqual([]);
    expect(pods.size).toBe(kept);
    await backend.close();
  });
});
