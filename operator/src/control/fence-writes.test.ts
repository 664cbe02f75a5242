import { describe, expect, it } from "vitest";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { PODS } from "#core/kubernetes/resources.ts";
import { fenceWrites } from "./fence-writes.ts";

describe("fenceWrites()", () => {
  it("lets reads through at any time, and writes only while it may", async () => {
    let mayWrite = true;
    const methods: (string | undefined)[] = [];
    const fetch = fenceWrites(
      async (_path, { method }) => {
        methods.push(method);
        return Response.json({ metadata: { name: "a" } });
      },
      () => mayWrite,
    );
    const client = createKubeClient(fetch);
    const call = { signal: new AbortController().signal };
    const ref = { namespace: "n", name: "a" };
    await client.patch(PODS, ref, {}, call);
    mayWrite = false;
    await client.get(PODS, ref, call);
    await expect(client.patch(PODS, ref, {}, call)).rejects.toMatchObject({ status: 0, reason: "NotLeader" });
    await expect(client.remove(PODS, ref, call)).rejects.toMatchObject({ reason: "NotLeader" });
    expect(methods).toEqual(["PATCH", "GET"]);
  });
});
