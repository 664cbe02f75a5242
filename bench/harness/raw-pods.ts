import { randomBytes } from "node:crypto";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { RUNTIME_CLASS } from "#core/kubernetes/names.ts";
import type { Container, Pod } from "#core/kubernetes/pod.ts";
import { NAMESPACES, PODS } from "#core/kubernetes/resources.ts";
import { call } from "../../test/cluster/cluster.ts";

/** What a pod is made of; containers that name no command sleep. */
export interface Shape {
  readonly containers: readonly Partial<Container>[];
  readonly initContainers?: readonly Partial<Container>[];
}

/** gVisor pods without Atoll, in a namespace of their own: the baseline on a cluster. */
export interface RawPods {
  readonly namespace: string;
  /** Creates a pod, of one container unless told otherwise, and resolves when kubelet says Ready; answers its name. */
  start(shape?: Shape, onChange?: (pod: Pod) => void): Promise<string>;
  remove(name: string): Promise<void>;
  dispose(): Promise<void>;
}

const ONE_CONTAINER: Shape = { containers: [{}] };
const PAUSE_MS = 100;
/** Thirty at once take their time on a small node. */
const READY_TIMEOUT_MS = 300_000;

export async function openRawPods(client: KubeClient, image: string): Promise<RawPods> {
  const namespace = `bench-${randomBytes(4).toString("hex")}`;
  await client.create(NAMESPACES, { metadata: { name: namespace } }, call());
  const remove = async (name: string): Promise<void> => {
    await client.remove(PODS, { namespace, name }, call());
    while ((await client.list(PODS, { namespace, fieldSelector: `metadata.name=${name}` }, call())).items.length > 0)
      await new Promise((done) => setTimeout(done, PAUSE_MS));
  };
  return {
    namespace,
    async start(shape = ONE_CONTAINER, onChange = () => undefined) {
      const created = await client.create(PODS, podOf(namespace, image, shape), call());
      const { name, resourceVersion = "" } = created.metadata;
      const query = { namespace, fieldSelector: `metadata.name=${name}`, resourceVersion };
      const signal = AbortSignal.timeout(READY_TIMEOUT_MS);
      for await (const event of client.watch(PODS, query, { signal })) {
        if (event.kind === "bookmark") continue;
        onChange(event.object);
        if (isReady(event.object)) return name;
      }
      throw new Error(`The pod ${name} was not ready before its watch ended`);
    },
    remove,
    dispose: async () => {
      await client.remove(NAMESPACES, { name: namespace }, call());
    },
  };
}

function podOf(namespace: string, image: string, { containers, initContainers = [] }: Shape): Pod {
  const filled = (container: Partial<Container>, index: number): Container => {
    return { name: `c${index}`, image, command: ["sleep", "infinity"], ...container };
  };
  return {
    metadata: { namespace, name: `raw-${randomBytes(6).toString("hex")}` },
    spec: {
      runtimeClassName: RUNTIME_CLASS,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      containers: containers.map(filled),
      initContainers: initContainers.map((container, index) => filled({ name: `i${index}`, ...container }, index)),
    },
  };
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") ?? false;
}
