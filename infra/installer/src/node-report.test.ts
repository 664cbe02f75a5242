import { expect, test } from "vitest";
import { createNodeReport } from "./node-report.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";

const call = { signal: new AbortController().signal };

function harness() {
  const sent: { method: string; path: string; body: Record<string, unknown> }[] = [];
  const client = createKubeClient(async (path, init) => {
    const body: unknown = JSON.parse(await new Response(init.body ?? null).text());
    sent.push({ method: init.method ?? "", path, body: body as Record<string, unknown> });
    return Response.json(body);
  });
  let ids = 0;
  const clock = { now: () => 0, sleep: async () => undefined };
  return { sent, report: createNodeReport(client, { nodeName: "n1", clock, newId: () => `id${(ids += 1)}` }) };
}

test("works labels the node each time and tells of it once", async () => {
  const { sent, report } = harness();
  await report.works("release-1", call);
  await report.works("release-1", call);
  expect(sent.map(({ method, path }) => `${method} ${path.split("?")[0]}`)).toEqual([
    "PATCH /api/v1/nodes/n1",
    "POST /apis/events.k8s.io/v1/namespaces/default/events",
    "PATCH /api/v1/nodes/n1",
  ]);
  expect(sent[0]?.body).toEqual({
    metadata: {
      labels: { "atoll.run/gvisor": "true" },
      annotations: { "atoll.run/gvisor-release": "release-1", "atoll.run/gvisor-fault": null },
    },
  });
});

test("fails takes the label away and tells each reason once, in an Event of legal size", async () => {
  const { sent, report } = harness();
  const reason = "x".repeat(3000);
  await report.fails(reason, call);
  await report.fails(reason, call);
  expect(sent).toHaveLength(2);
  expect(sent[0]?.body).toMatchObject({ metadata: { labels: { "atoll.run/gvisor": null } } });
  expect(String(sent[1]?.body["note"]).length).toBeLessThanOrEqual(1024);
  await report.works("release-1", call);
  expect(sent.at(-1)?.body).toMatchObject({ reason: "GvisorReady", type: "Normal" });
});
