import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { KubeClient, Resource } from "#core/kubernetes/client.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { CONFIG_MAPS, EVENTS, PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { eachOf } from "./creator.ts";
import { call } from "./plane-client.ts";

/** Writes a second that the API server and its store take on this machine now, from one client with so many under way. */
export interface RawRates {
  /** Small objects made and removed. */
  readonly configMaps: number;
  /** The very writes that a sandbox causes, its pod's and events' among them. */
  readonly sandboxWrites: number;
}

/** What a sandbox and its pod look like while it runs. */
export interface Sample {
  readonly sandbox: SandboxResource;
  readonly pod: Pod;
}

const COUNT = { configMaps: 1000, lives: 200 };
const BINDINGS: Resource<KubeObject> = {
  group: "",
  version: "v1",
  plural: "bindings",
  kind: "Binding",
  namespaced: true,
};

/** Measures in a namespace whose objects nobody acts on. */
export async function measureRaw(
  client: KubeClient,
  { namespace, sample, atOnce }: { readonly namespace: string; readonly sample: Sample; readonly atOnce: number },
): Promise<RawRates> {
  const rate = async (count: number, work: (name: string) => Promise<number>): Promise<number> => {
    const names = Array.from({ length: count }, (_, index) => `raw-${index}`);
    const startMs = performance.now();
    let writes = 0;
    await eachOf(names, atOnce, async (name) => {
      const made = await work(name);
      writes += made;
    });
    return Math.round((writes * 1000) / (performance.now() - startMs));
  };
  return {
    configMaps: await rate(COUNT.configMaps, (name) => configMap(client, namespace, name)),
    sandboxWrites: await rate(COUNT.lives, (name) => sandboxLife(client, sample, namespace, name)),
  };
}

/** Returns how many writes it made. */
async function configMap(client: KubeClient, namespace: string, name: string): Promise<number> {
  const metadata = { name, namespace };
  await client.create(CONFIG_MAPS, { metadata, data: { padding: "x".repeat(1500) } }, call());
  await client.remove(CONFIG_MAPS, metadata, call());
  return 2;
}

/** Each write that gateway, operator, scheduler and kubelet make for a sandbox, in their order and form. */
async function sandboxLife(client: KubeClient, sample: Sample, namespace: string, name: string): Promise<number> {
  const ref = { name, namespace };
  const sandbox = { ...sample.sandbox, metadata: draftMetadata(sample.sandbox, namespace, name) };
  const { status, ...draft } = sandbox;
  const created = await client.create(SANDBOXES, draft, call());
  const owner = { apiVersion: "v1", kind: "ConfigMap", name, uid: created.metadata.uid ?? "" };
  await client.patch(SANDBOXES, ref, { metadata: { annotations: { [ANNOTATION.provisional]: null } } }, call());
  // No scheduler takes it up.
  const podSpec = { ...sample.pod.spec, nodeName: undefined, schedulerName: "nobody" } as unknown as Pod["spec"];
  await client.create(PODS, { metadata: draftMetadata(sample.pod, namespace, name), spec: podSpec }, call());
  await client.create(EVENTS, eventOf(owner, namespace, `${name}-pod-created`), call());
  await client.create(BINDINGS, { metadata: ref, target: { kind: "Node", name: "nobody" } } as KubeObject, call());
  await client.create(EVENTS, eventOf(owner, namespace, `${name}-scheduled`), call());
  await client.patch(PODS, ref, { status: sample.pod.status }, call(), { subresource: "status" });
  await applyStatus(client, { ...sandbox, metadata: ref });
  await client.remove(SANDBOXES, ref, call());
  const conditions = status?.conditions?.map((condition) => ({ ...condition, reason: "Deleting" })) ?? [];
  await applyStatus(client, { ...sandbox, metadata: ref, status: { ...status, conditions } });
  await client.remove(PODS, ref, call(), { gracePeriodSeconds: 1 });
  await client.remove(PODS, ref, call(), { gracePeriodSeconds: 0 });
  await client.patch(SANDBOXES, ref, { metadata: { finalizers: [] } }, call());
  return 13;
}

async function applyStatus(client: KubeClient, { metadata, status }: SandboxResource): Promise<void> {
  const options = { fieldManager: "raw", subresource: "status" };
  await client.apply<KubeObject>(SANDBOXES, { metadata, status } as KubeObject, call(), options);
}

/** What its maker said of it, under another name. */
function draftMetadata({ metadata }: KubeObject, namespace: string, name: string): KubeObject["metadata"] {
  const { labels = {}, annotations = {}, finalizers = [] } = metadata;
  return { name, namespace, labels, annotations, finalizers };
}

function eventOf(regarding: object, namespace: string, name: string): KubeObject {
  const event = {
    metadata: { name, namespace },
    eventTime: new Date().toISOString().replace("Z", "000Z"),
    reportingController: "raw/raw",
    reportingInstance: "raw",
    action: "Raw",
    reason: "Raw",
    type: "Normal",
    note: "What operator and scheduler write once for each sandbox.",
    regarding: { ...regarding, namespace },
  };
  return event;
}
