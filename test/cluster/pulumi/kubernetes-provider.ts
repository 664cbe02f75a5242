import type { KubeCall, KubeClient, Resource } from "#core/kubernetes/client.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { isConflict } from "#core/kubernetes/kube-error.ts";
import { exists } from "../exists.ts";
import { CREATOR, handedOver } from "./managed-fields.ts";
import { differences, prune } from "./property-diff.ts";
import { isReady } from "./readiness.ts";
import type { Registration } from "./registration.ts";

const LOOK_AGAIN_MS = 200;
/** The provider's own patience with an object that is not ready, or not gone. */
const READY_MS = 300_000;
const REWRITE_MS = 10_000;
const GONE_MS = 300_000;

type Live = KubeObject & Record<string, unknown>;

/** What Pulumi's Kubernetes provider does with a registered object, on a real API server. */
export interface KubernetesProvider {
  /**
   * Makes the object and waits until it is ready. `upsert` takes over one that exists; else that is an
   * error. `begun` is called as soon as there may be something to remove.
   */
  create(registration: Registration, upsert: boolean, begun?: () => void): Promise<Live>;
  /** Paths that differ from what the cluster has; empty = nothing to do. */
  diff(registration: Registration): Promise<readonly string[]>;
  update(registration: Registration): Promise<Live>;
  /** Removes the object with all that belongs to it, and waits until it is gone. */
  remove(registration: Registration): Promise<void>;
}

export function createKubernetesProvider(client: KubeClient, signal: AbortSignal): KubernetesProvider {
  const call: KubeCall = { signal };
  const resources = new Map<string, Promise<Resource<Live>>>();
  const resourceOf = ({ inputs }: Registration): Promise<Resource<Live>> => {
    const key = `${String(inputs["apiVersion"])}/${String(inputs["kind"])}`;
    const known = resources.get(key) ?? discover(client, inputs, call);
    resources.set(key, known);
    known.catch(() => resources.delete(key));
    return known;
  };
  const read = async (registration: Registration): Promise<Live> =>
    client.get(await resourceOf(registration), refOf(registration), call);

  const apply = async (registration: Registration): Promise<void> => {
    const options = { fieldManager: managerOf(registration), force: isForced(registration) };
    await client.apply(await resourceOf(registration), registration.inputs as unknown as Live, call, options);
  };

  /** Writes what rests on the object as it is; a controller may be faster. */
  const rewrite = (registration: Registration, write: (live: Live) => Promise<unknown>): Promise<unknown> =>
    until(REWRITE_MS, `${registration.urn} changes all the time`, signal, () =>
      read(registration)
        .then(write)
        .then(
          () => true,
          (error: unknown) => {
            if (isConflict(error)) return undefined;
            throw error;
          },
        ),
    );

  const change = async (registration: Registration): Promise<void> => {
    const resource = await resourceOf(registration);
    const inputs = registration.inputs as unknown as Live;
    const fieldManager = managerOf(registration);
    if (inputs.kind === "CustomResourceDefinition") {
      await rewrite(registration, ({ metadata: { resourceVersion = "" } }) =>
        client.replace(resource, { ...inputs, metadata: { ...inputs.metadata, resourceVersion } }, call, {
          fieldManager,
        }),
      );
      return;
    }
    await rewrite(registration, async (live) => {
      const patch = handedOver(live, fieldManager);
      if (patch !== undefined) await client.patch(resource, refOf(registration), patch, call);
    });
    await apply(registration);
  };

  const awaitReady = (registration: Registration): Promise<Live> =>
    until(READY_MS, `${registration.urn} is not ready`, signal, async () => {
      const live = await read(registration);
      return isReady(live, registration.inputs, (path) => client.text(path, call)).then((ready) =>
        ready ? live : undefined,
      );
    });

  return {
    create: async (registration, upsert, begun) => {
      if (!upsert && (await exists(read(registration)))) throw new Error(`${registration.urn} exists already`);
      begun?.();
      const inputs = registration.inputs as unknown as Live;
      if (upsert) await apply(registration);
      else await client.create(await resourceOf(registration), inputs, call, { fieldManager: CREATOR });
      return awaitReady(registration);
    },
    diff: async (registration) =>
      differences(prune(await read(registration), registration.inputs), registration.inputs),
    update: async (registration) => {
      await change(registration);
      return awaitReady(registration);
    },
    remove: async (registration) => {
      const resource = await resourceOf(registration).catch(() => undefined);
      if (resource === undefined) return;
      await client.remove(resource, refOf(registration), call, { propagationPolicy: "Foreground" });
      await until(GONE_MS, `${registration.urn} does not go`, signal, async () =>
        (await exists(read(registration))) ? undefined : true,
      );
    },
  };
}

/** A made object's fields belong to a manager of its own, unless it names one. */
function managerOf({ inputs, name }: Registration): string {
  const { annotations } = inputs["metadata"] as KubeObject["metadata"];
  return annotations?.["pulumi.com/patchFieldManager"] ?? `pulumi-kubernetes-${name}`.slice(0, 120);
}

/** Whether fields that others own are taken; else they are a conflict. */
function isForced({ inputs }: Registration): boolean {
  const { annotations } = inputs["metadata"] as KubeObject["metadata"];
  return annotations?.["pulumi.com/patchForce"] === "true";
}

function refOf({ inputs }: Registration) {
  const { name, namespace } = inputs["metadata"] as KubeObject["metadata"];
  return namespace === undefined ? { name } : { name, namespace };
}

/** Asks the API server how a kind is served; a definition made just now takes a moment. */
function discover(client: KubeClient, inputs: Record<string, unknown>, call: KubeCall): Promise<Resource<Live>> {
  const apiVersion = String(inputs["apiVersion"]);
  const kind = String(inputs["kind"]);
  const [group = "", version = apiVersion] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  return until(10_000, `the cluster does not serve ${apiVersion} ${kind}`, call.signal, async () => {
    const served = await client
      .text(group === "" ? `/api/${version}` : `/apis/${group}/${version}`, call)
      .catch(() => "{}");
    const { resources = [] } = JSON.parse(served) as {
      resources?: { name: string; kind: string; namespaced: boolean }[];
    };
    const found = resources.find((resource) => resource.kind === kind && !resource.name.includes("/"));
    return found && { group, version, plural: found.name, kind, namespaced: found.namespaced };
  });
}

async function until<T>(
  patienceMs: number,
  fault: string,
  signal: AbortSignal,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    signal.throwIfAborted();
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${fault} after ${patienceMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}
