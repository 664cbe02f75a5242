import { describe, expect, it } from "vitest";
import { fenceNames } from "#core/kubernetes/admission/fence.ts";
import type { KubeFetch } from "#core/kubernetes/client.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { VALIDATING_ADMISSION_POLICY_BINDINGS } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import { createFenceWatch } from "./fence-watch.ts";

const BINDINGS = Object.values(fenceNames()).map((name) => ({
  metadata: { name, resourceVersion: "1" },
  spec: { policyName: name, validationActions: ["Deny"] },
}));

/** A cluster whose bindings are there, and whose policies may not be. */
async function cluster() {
  const clock = createManualClock();
  const state = { hasPolicies: false };
  const fetch: KubeFetch = async (path, { method }) => {
    if (path.includes("watch=")) return new Response(new ReadableStream());
    if (method !== "POST") return Response.json({ metadata: { resourceVersion: "1" }, items: BINDINGS });
    if (!state.hasPolicies) return Response.json({ metadata: { name: "trial" } }, { status: 201 });
    const message = `ValidatingAdmissionPolicy '${fenceNames().pods}' denied request`;
    return Response.json({ kind: "Status", code: 403, message }, { status: 403 });
  };
  const client = createKubeClient(fetch, { clock });
  const shared = { clock, random: () => 0, log: silentLog };
  const bindings = createInformer(client, VALIDATING_ADMISSION_POLICY_BINDINGS, shared);
  const life = new AbortController();
  const running = bindings.run(life.signal);
  const fence = createFenceWatch({ client, bindings, prefix: "atoll", ...shared });
  const pauseMs = async (): Promise<number> => {
    const { requeueAtMs = 0 } = await fence.reconcile("boxes", life.signal);
    return requeueAtMs - clock.now();
  };
  const end = async (): Promise<void> => {
    life.abort(new Error("over"));
    await running;
  };
  return { state, fence, pauseMs, end };
}

describe("createFenceWatch()", () => {
  it("tries ever less often where trials are let through, and begins anew after a fence that stood", async () => {
    const { state, fence, pauseMs, end } = await cluster();
    const pauses: number[] = [];
    for (let turn = 0; turn < 7; turn += 1) pauses.push(await pauseMs());
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    expect(fence.hold("boxes")).toMatch(/not in force/);
    state.hasPolicies = true;
    expect(await pauseMs()).toBe(60_000);
    expect(fence.hold("boxes")).toBeUndefined();
    state.hasPolicies = false;
    expect(await pauseMs()).toBe(500);
    expect(fence.hold("boxes")).toMatch(/not in force/);
    await end();
  });
});
