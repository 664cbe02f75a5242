import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { sandboxCrd } from "#api/crd/sandbox-crd.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { systemClock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { DRAIN_FINALIZER, DRAIN_GUARD } from "#core/kubernetes/drain-guard.ts";
import { SANDBOX_FINALIZER } from "#core/kubernetes/names.ts";
import { CONFIG_MAPS, CRDS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { createDrainNamespace } from "#operator/control/drain-namespace.ts";
import { call, createNamespace, findCluster } from "./cluster.ts";
import { exists } from "./exists.ts";

let client: KubeClient;
let namespace: string;
let removeNamespace: (() => Promise<unknown>) | undefined;

beforeAll(async () => {
  client = (await findCluster()).client();
  await client.apply(CRDS, sandboxCrd(), call(), { fieldManager: "atoll-test" });
  [namespace, removeNamespace] = await createNamespace(client, "drain");
  await vi.waitUntil(() => exists(client.list(SANDBOXES, { namespace }, call())), 20_000);
});
afterAll(() => removeNamespace?.());

describe("createDrainNamespace", () => {
  it("lets a guard go after the last sandbox of its namespace, and ends those that come meanwhile", async () => {
    const drain = createDrainNamespace({ client, clock: systemClock });
    const look = () => drain(`${namespace}/${DRAIN_GUARD}`, call().signal);
    await client.create(CONFIG_MAPS, guard(), call());
    await createSandbox("first");

    expect(await look()).toEqual({});
    expect(await ending()).toEqual([]);

    await client.remove(CONFIG_MAPS, guard().metadata, call());
    expect(await look()).toHaveProperty("requeueAtMs");
    expect(await ending()).toEqual(["first"]);

    await createSandbox("late");
    expect(await look()).toHaveProperty("requeueAtMs");
    expect(await ending()).toEqual(["first", "late"]);
    expect(await guardIsThere()).toBe(true);

    await Promise.all(["first", "late"].map(cleanUp));
    expect(await look()).toEqual({});
    expect(await guardIsThere()).toBe(false);
    expect(await look()).toEqual({});
  });

  it("leaves the finalizers of others alone", async () => {
    const finalizers = ["example.org/other", DRAIN_FINALIZER];
    await client.create(CONFIG_MAPS, guard(finalizers), call());
    await client.remove(CONFIG_MAPS, guard().metadata, call());
    await createDrainNamespace({ client, clock: systemClock })(`${namespace}/${DRAIN_GUARD}`, call().signal);
    const { metadata } = await client.get(CONFIG_MAPS, guard().metadata, call());
    expect(metadata.finalizers).toEqual(["example.org/other"]);
    await client.patch(CONFIG_MAPS, guard().metadata, { metadata: { finalizers: null } }, call());
  });
});

function guard(finalizers: readonly string[] = [DRAIN_FINALIZER]) {
  return { metadata: { namespace, name: DRAIN_GUARD, finalizers } };
}

const guardIsThere = (): Promise<boolean> => exists(client.get(CONFIG_MAPS, guard().metadata, call()));

/** A sandbox that is held as the gateway and the operator hold one. */
async function createSandbox(name: string): Promise<void> {
  const metadata = { namespace, name, finalizers: [SANDBOX_FINALIZER] };
  const podTemplate = { spec: { containers: [{ name: "sandbox0", image: "example.org/image:1" }] } };
  await client.create(SANDBOXES, { metadata, spec: { podTemplate } } as unknown as SandboxResource, call());
}

async function ending(): Promise<string[]> {
  const { items } = await client.list(SANDBOXES, { namespace }, call());
  return items.filter(({ metadata }) => metadata.deletionTimestamp !== undefined).map(({ metadata }) => metadata.name);
}

/** What the operator does once a sandbox's pod is gone. */
async function cleanUp(name: string): Promise<void> {
  await client.patch(SANDBOXES, { namespace, name }, { metadata: { finalizers: null } }, call());
}
