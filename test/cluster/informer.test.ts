import { KubeConfig } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { systemClock } from "#core/clock.ts";
import type { KubeClient, KubeFetch } from "#core/kubernetes/client.ts";
import type { Informer, ReconnectReason } from "#core/kubernetes/informer-port.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { CONFIG_MAPS, NAMESPACES } from "#core/kubernetes/resources.ts";
import type { ConfigMap } from "#core/kubernetes/secret.ts";
import { silentLog } from "#core/log.ts";
import { createKubeFetch } from "#operator/node/kube-fetch.ts";
import { startControlPlane, type ControlPlane } from "../harness/control-plane.ts";
import { call } from "./cluster.ts";

const NAMESPACE = "informer";
const WAIT = { timeout: 60_000, interval: 20 };

let plane: ControlPlane;
let client: KubeClient;
let fetch: KubeFetch;

beforeAll(async () => {
  plane = await startControlPlane();
  const config = new KubeConfig();
  config.loadFromFile(plane.kubeconfig);
  fetch = createKubeFetch(config);
  client = createKubeClient(fetch);
  await client.create(NAMESPACES, { metadata: { name: NAMESPACE } }, call());
}, 120_000);
afterAll(() => plane.dispose());

/** An informer, what its changes add up to, and why it reconnected. */
function follow(through: KubeFetch = fetch) {
  const reconnects: ReconnectReason[] = [];
  const informer: Informer<ConfigMap> = createInformer(createKubeClient(through), CONFIG_MAPS, {
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    query: { namespace: NAMESPACE },
    pageSize: 7,
    observer: { listed: () => undefined, reconnected: (reason) => reconnects.push(reason) },
  });
  const reported = new Map<string, string>();
  informer.onChange((key, now) => {
    if (now === undefined) reported.delete(key);
    else reported.set(key, now.metadata.resourceVersion ?? "");
  });
  const abort = new AbortController();
  const running = informer.run(abort.signal);
  const stop = async (): Promise<void> => {
    abort.abort(new Error("over"));
    await running;
  };
  return { informer, reported, reconnects, stop };
}

function versions(objects: Iterable<ConfigMap>): Record<string, string> {
  return Object.fromEntries(Array.from(objects, ({ metadata }) => [metadata.name, metadata.resourceVersion ?? ""]));
}

async function untilEqual({ informer, reported }: ReturnType<typeof follow>): Promise<void> {
  await vi.waitFor(async () => {
    const { items } = await client.list(CONFIG_MAPS, { namespace: NAMESPACE }, call());
    expect(versions(informer.values())).toEqual(versions(items));
    expect(Object.values(Object.fromEntries(reported)).toSorted()).toEqual(Object.values(versions(items)).toSorted());
  }, WAIT);
}

/** Creates, changes and removes some of forty objects; what fails has no effect that the test needs. */
async function churn(rounds: number): Promise<number> {
  let done = 0;
  for (let round = 0; round < rounds; round += 1) {
    const ref = { namespace: NAMESPACE, name: `c${Math.floor(Math.random() * 40)}` };
    const object = { metadata: ref, data: { round: String(round) } };
    const work =
      Math.random() < 0.3
        ? client.remove(CONFIG_MAPS, ref, call())
        : client.apply(CONFIG_MAPS, object, call(), { fieldManager: "churn" });
    await work.then(
      () => (done += 1),
      () => undefined,
    );
  }
  return done;
}

describe("createInformer() on a real API server", () => {
  it("follows all changes, and knows own writes at once", async () => {
    const world = follow();
    await world.informer.synced(call().signal);
    expect(await churn(200)).toBe(200);
    await untilEqual(world);
    const written = await client.create(CONFIG_MAPS, { metadata: { namespace: NAMESPACE, name: "own" } }, call());
    world.informer.upsert(written);
    expect(world.informer.get(`${NAMESPACE}/own`)?.metadata.uid).toBe(written.metadata.uid);
    const removal = await client.remove(CONFIG_MAPS, written.metadata, call());
    expect(removal).toEqual({ kind: "removed", uid: written.metadata.uid });
    world.informer.drop(`${NAMESPACE}/own`, written.metadata.uid ?? "");
    expect(world.informer.get(`${NAMESPACE}/own`)).toBeUndefined();
    await untilEqual(world);
    expect(world.reconnects).toEqual([]);
    await world.stop();
  });

  it("survives kill -9 of the API server and of etcd amid changes", async () => {
    const world = follow();
    await world.informer.synced(call().signal);
    const churning = churn(400);
    await plane.kill("kube-apiserver");
    await plane.start("kube-apiserver");
    await plane.kill("etcd");
    await plane.kill("kube-apiserver");
    await plane.start("etcd");
    await plane.start("kube-apiserver");
    expect(await churning).toBeGreaterThan(0);
    await churn(50);
    await untilEqual(world);
    expect(world.reconnects.length).toBeGreaterThan(0);
    await world.stop();
  }, 120_000);

  it("lists again when etcd was compacted while it was away, and finds what went meanwhile", async () => {
    const line = new Line(fetch);
    const world = follow(line.fetch);
    await world.informer.synced(call().signal);
    await churn(50);
    await untilEqual(world);
    line.cut();
    await churn(100);
    await plane.compact();
    await plane.kill("kube-apiserver");
    await plane.start("kube-apiserver");
    line.mend();
    await untilEqual(world);
    expect(world.reconnects).toContain("expired");
    await world.stop();
  }, 120_000);
});

/** A way to the API server that can be cut: what runs breaks, what comes is refused. */
class Line {
  #cutter = new AbortController();
  readonly #fetch: KubeFetch;

  constructor(fetch: KubeFetch) {
    this.#fetch = fetch;
  }

  readonly fetch: KubeFetch = async (path, init) => {
    const cut = this.#cutter.signal;
    cut.throwIfAborted();
    const response = await this.#fetch(path, init);
    if (response.body === null) return response;
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    response.body.pipeTo(writable, { signal: cut }).catch(() => undefined);
    return new Response(readable, response);
  };

  cut(): void {
    this.#cutter.abort(new Error("the line is cut"));
  }

  mend(): void {
    this.#cutter = new AbortController();
  }
}
