import { describe, expect, it } from "vitest";
import { generateMasterKey } from "#core/agent-proof.ts";
import type { KubeFetch } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { silentLog } from "#core/log.ts";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import { SETTINGS } from "../../test/samples.ts";
import { createMetrics } from "../node/metrics.ts";
import { createOperator } from "./operator.ts";

const KEYS = { gatewayPrivateKey: "", gatewayPublicKey: "", agentMasterKey: generateMasterKey() };

/** An API server that takes requests and never answers. */
const silentServer: KubeFetch = (_path, { signal }) =>
  new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));

/** An API server without objects, and without this kind. */
const serverWithout =
  (plural: string): KubeFetch =>
  async (path) => {
    if (path.includes(`/${plural}`)) return Response.json({ kind: "Status", code: 404 }, { status: 404 });
    if (path.includes("watch=")) return new Response(new ReadableStream());
    return Response.json({ metadata: { resourceVersion: "1" }, items: [] });
  };

describe("createOperator()", () => {
  it.each([
    [true, true],
    [false, false],
  ])("with snapshots %s: a cluster without records of them keeps it waiting is %s", async (withSnapshots, waits) => {
    const clock = createManualClock();
    const client = createKubeClient(serverWithout("rootfssnapshots"), { clock });
    const operator = createOperator({
      reader: client,
      writer: client,
      namespaces: ["boxes"],
      fencePrefix: "atoll",
      settings: () => SETTINGS,
      concurrency: 1,
      withSnapshots,
      clock,
      random: () => 0,
      log: silentLog,
      events: { record: () => undefined },
      metrics: createMetrics(clock.now),
    });
    const end = new AbortController();
    const watching = operator.watch(end.signal);
    await clock.advance(5000);
    expect(operator.waitsFor.includes("its caches to be filled")).toBe(waits);
    end.abort(new Error("over"));
    await watching;
  });

  it("ends its term quietly when the lease is lost before the caches are filled", async () => {
    const clock = createManualClock();
    const client = createKubeClient(silentServer, { clock });
    const operator = createOperator({
      reader: client,
      writer: client,
      namespaces: ["boxes"],
      fencePrefix: "atoll",
      settings: () => SETTINGS,
      concurrency: 1,
      withSnapshots: true,
      clock,
      random: () => 0,
      log: silentLog,
      events: { record: () => undefined },
      metrics: createMetrics(clock.now),
    });
    const end = new AbortController();
    const watching = operator.watch(end.signal);
    const term = new AbortController();
    const leading = operator.lead(KEYS, term.signal);
    await clock.settle();
    expect(operator.waitsFor).toContain("its caches to be filled");
    term.abort(new Error("The lease was lost"));
    await leading;
    end.abort(new Error("over"));
    await watching;
  });
});
