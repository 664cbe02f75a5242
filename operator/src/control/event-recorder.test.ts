import { describe, expect, it } from "vitest";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import type { KubeFetch } from "#core/kubernetes/client.ts";
import type { KubeEvent } from "#core/kubernetes/event.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { silentLog } from "#core/log.ts";
import { createEventRecorder } from "./event-recorder.ts";

const POD = { apiVersion: "v1", kind: "Pod", namespace: "n", name: "p", uid: "u" };
const FACTS = { type: "Normal", reason: "PodCreated", action: "Create", note: "The pod was made" } as const;

/** A recorder whose events arrive, or are refused with these statuses in turn. */
function createWorld(statuses: readonly number[] = []) {
  const clock = createManualClock();
  const sent: { readonly method: string; readonly path: string; readonly body: KubeEvent }[] = [];
  const fetch: KubeFetch = async (path, { method = "", body }) => {
    const event = JSON.parse(typeof body === "string" ? body : "") as KubeEvent;
    const status = statuses[sent.length] ?? 200;
    sent.push({ method, path, body: event });
    const refusal = { kind: "Status", code: status, ...(status === 409 ? { reason: "AlreadyExists" } : {}) };
    return Response.json(status === 200 ? event : refusal, { status });
  };
  let ids = 0;
  const recorder = createEventRecorder({
    client: createKubeClient(fetch, { clock }),
    clock,
    log: silentLog,
    bytes: (count) => new Uint8Array(count).fill((ids += 1)),
    controller: "isola.run/operator",
    instance: "operator-0",
  });
  const abort = new AbortController();
  const running = recorder.run(abort.signal);
  const stop = async (): Promise<void> => {
    abort.abort(new Error("over"));
    await running;
  };
  return { clock, sent, recorder, stop };
}

describe("createEventRecorder()", () => {
  it("sends one event with all that describes it", async () => {
    const { clock, sent, recorder, stop } = createWorld();
    recorder.record(POD, FACTS);
    expect(sent).toEqual([]);
    await clock.settle();
    expect(sent).toHaveLength(1);
    expect(sent[0]?.path).toBe("/apis/events.k8s.io/v1/namespaces/n/events");
    expect(sent[0]?.body).toMatchObject({
      metadata: { namespace: "n", name: "p.0101010101010101" },
      ...FACTS,
      regarding: POD,
      reportingController: "isola.run/operator",
      reportingInstance: "operator-0",
    });
    expect(sent[0]?.body.eventTime).toMatch(/\.\d{6}Z$/);
    await stop();
  });

  it("makes a series of what repeats, and writes it now and then", async () => {
    const { clock, sent, recorder, stop } = createWorld();
    for (let second = 0; second < 65; second += 1) {
      recorder.record(POD, FACTS);
      await clock.advance(1000);
    }
    expect(sent.map(({ method }) => method)).toEqual(["POST", "PATCH", "PATCH"]);
    expect(sent.map(({ body }) => body.series?.count)).toEqual([undefined, 31, 61]);
    await clock.advance(400_000);
    recorder.record(POD, FACTS);
    await clock.settle();
    expect(sent.at(-1)?.method).toBe("POST");
    await stop();
  });

  it("goes on with a series whose first answer was lost though the event was made", async () => {
    const { clock, sent, recorder, stop } = createWorld([504, 409]);
    for (let turn = 0; turn < 3; turn += 1) {
      recorder.record(POD, FACTS);
      await clock.advance(31_000);
    }
    expect(sent.map(({ method }) => method)).toEqual(["POST", "POST", "PATCH"]);
    expect(sent.at(-1)?.body.series?.count).toBe(3);
    await stop();
  });

  it("gives each object a budget of its own", async () => {
    const { clock, sent, recorder, stop } = createWorld();
    for (let i = 0; i < 100; i += 1) recorder.record(POD, { ...FACTS, note: `note ${i}` });
    recorder.record({ ...POD, uid: "other" }, FACTS);
    await clock.settle();
    expect(sent).toHaveLength(21);
    await clock.advance(120_000);
    for (let i = 0; i < 100; i += 1) recorder.record(POD, { ...FACTS, note: `later ${i}` });
    await clock.settle();
    expect(sent).toHaveLength(23);
    await stop();
  });

  it("drops what is refused, and makes an event anew that the API server forgot", async () => {
    const { clock, sent, recorder, stop } = createWorld([403, 200, 404]);
    for (const pauseMs of [31_000, 31_000, 31_000, 31_000]) {
      recorder.record(POD, FACTS);
      await clock.advance(pauseMs);
    }
    expect(sent.map(({ method }) => method)).toEqual(["POST", "POST", "PATCH", "POST"]);
    await stop();
  });

  it("keeps notes within what the API server takes", async () => {
    const { clock, sent, recorder, stop } = createWorld();
    recorder.record(POD, { ...FACTS, note: "ä".repeat(2000) });
    await clock.settle();
    const note = sent[0]?.body.note ?? "";
    expect(new TextEncoder().encode(note).length).toBeLessThanOrEqual(1024);
    expect(note).toMatch(/^ä+…$/);
    await stop();
  });
});
