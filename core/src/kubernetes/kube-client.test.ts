import { describe, expect, it } from "vitest";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import type { KubeFetch, Resource } from "./client.ts";
import { createKubeClient, type KubeRequestRecord } from "./kube-client.ts";
import { UnsentError } from "./kube-error.ts";
import { listAll } from "./list-all.ts";
import type { KubeObject } from "./object.ts";

interface Thing extends KubeObject {
  readonly size?: number;
}

const THINGS: Resource<Thing> = { group: "x.y", version: "v2", plural: "things", kind: "Thing", namespaced: true };
const REF = { namespace: "n", name: "a" };
const THING: Thing = { metadata: { ...REF, uid: "u", resourceVersion: "5" }, size: 1 };
const call = { signal: new AbortController().signal };

type Answer = () => Response | Promise<Response>;

/** A client whose requests get these answers in turn, the last one again and again. */
function clientOf(...answers: readonly [Answer, ...Answer[]]) {
  const requests: { path: string; init: RequestInit }[] = [];
  const records: KubeRequestRecord[] = [];
  const clock = createManualClock();
  const fetch: KubeFetch = async (path, init) => {
    requests.push({ path, init });
    const answer = answers[requests.length - 1] ?? answers.at(-1);
    if (answer === undefined) throw new Error("no answer is left");
    return answer();
  };
  const client = createKubeClient(fetch, { clock, random: () => 0, observe: (record) => records.push(record) });
  return { client, clock, requests, records };
}

function bodyOf(request: { readonly init: RequestInit } | undefined): string {
  return typeof request?.init.body === "string" ? request.init.body : "";
}

const ok = (body: object) => (): Response => Response.json(body);
const refused =
  (code: number, more: object = {}) =>
  (): Response =>
    Response.json({ kind: "Status", status: "Failure", code, ...more }, { status: code });
const unsent = (): never => {
  throw new UnsentError("connection refused");
};
const lost = (): never => {
  throw new Error("socket hang up");
};

/** A server that takes requests and never answers: they end when their signal fires. */
function silentClient() {
  const clock = createManualClock();
  const fetch: KubeFetch = (_path, { signal }) =>
    new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
  return { clock, client: createKubeClient(fetch, { clock }) };
}

describe("createKubeClient()", () => {
  it("names kind and version of what it writes, and how", async () => {
    const { client, requests } = clientOf(ok(THING));
    await client.create(THINGS, THING, call);
    await client.apply(THINGS, THING, call, { fieldManager: "m", subresource: "status" });
    await client.apply(THINGS, THING, call, { fieldManager: "m", force: false });
    await client.patch(THINGS, REF, { size: 2 }, call);
    await client.patch(THINGS, REF, [{ op: "remove", path: "/size" }], call, { dryRun: true });
    await client.replace(THINGS, THING, call);
    const seen = requests.map(({ path, init }) => [init.method, path, new Headers(init.headers).get("content-type")]);
    const one = "/apis/x.y/v2/namespaces/n/things/a";
    expect(seen).toEqual([
      ["POST", "/apis/x.y/v2/namespaces/n/things", "application/json"],
      ["PATCH", `${one}/status?fieldManager=m&force=true`, "application/apply-patch+yaml"],
      ["PATCH", `${one}?fieldManager=m&force=false`, "application/apply-patch+yaml"],
      ["PATCH", one, "application/merge-patch+json"],
      ["PATCH", `${one}?dryRun=All`, "application/json-patch+json"],
      ["PUT", one, "application/json"],
    ]);
    expect(JSON.parse(bodyOf(requests[0]))).toEqual({ ...THING, apiVersion: "x.y/v2", kind: "Thing" });
  });

  it("tells what a removal found and left", async () => {
    const going = { metadata: { ...THING.metadata, deletionTimestamp: "2026-01-01T00:00:00Z", finalizers: ["f"] } };
    const { client, requests } = clientOf(
      ok({ kind: "Status", status: "Success", details: { uid: "u" } }),
      ok(going),
      ok(THING),
      refused(404, { reason: "NotFound" }),
    );
    const options = { uid: "u", gracePeriodSeconds: 0 };
    expect(await client.remove(THINGS, REF, call, options)).toEqual({ kind: "removed", uid: "u" });
    expect(await client.remove(THINGS, REF, call)).toEqual({ kind: "going", object: going });
    expect(await client.remove(THINGS, REF, call)).toEqual({ kind: "removed", uid: "u" });
    expect(await client.remove(THINGS, REF, call)).toEqual({ kind: "absent" });
    expect(JSON.parse(bodyOf(requests[0]))).toMatchObject({
      gracePeriodSeconds: 0,
      preconditions: { uid: "u" },
    });
  });

  it("throws what the API server says", async () => {
    const causes = [{ reason: "FieldValueInvalid", field: "spec.size", message: "too big" }];
    const { client } = clientOf(refused(422, { reason: "Invalid", message: "no", details: { causes } }));
    await expect(client.create(THINGS, THING, call)).rejects.toMatchObject({
      status: 422,
      reason: "Invalid",
      message: "no",
      causes,
    });
  });

  it("throws for a proxy's answer, and for a success that is not JSON", async () => {
    const proxy = clientOf(() => new Response("<html>", { status: 413 }));
    await expect(proxy.client.create(THINGS, THING, call)).rejects.toMatchObject({ status: 413 });
    const odd = clientOf(() => new Response("<html>"));
    await expect(odd.client.get(THINGS, REF, call)).rejects.toMatchObject({ status: 0, reason: "BadAnswer" });
  });

  it("repeats reads after any passing fault", async () => {
    const { client, clock, records } = clientOf(lost, refused(503), unsent, refused(500), ok(THING));
    await expect(clock.runUntil(client.get(THINGS, REF, call))).resolves.toEqual(THING);
    expect(records.map(({ status }) => status)).toEqual([0, 503, 0, 500, 200]);
  });

  it("repeats writes only when they cannot have happened", async () => {
    const harmless = clientOf(refused(429), unsent, ok(THING));
    await expect(harmless.clock.runUntil(harmless.client.create(THINGS, THING, call))).resolves.toEqual(THING);
    for (const fault of [lost, refused(500), refused(503), refused(504), refused(409)]) {
      const { client, clock, requests } = clientOf(fault, ok(THING));
      await expect(clock.runUntil(client.create(THINGS, THING, call))).rejects.toThrow();
      expect(requests).toHaveLength(1);
    }
  });

  it("waits as long as the API server asks, and not for what it asks too long", async () => {
    const { client, clock, requests } = clientOf(refused(429, { details: { retryAfterSeconds: 3 } }), ok(THING));
    const getting = client.get(THINGS, REF, call);
    await clock.advance(3000);
    expect(requests).toHaveLength(1);
    await clock.advance(200);
    await expect(getting).resolves.toEqual(THING);
    const busy = clientOf(() => new Response("", { status: 429, headers: { "retry-after": "60" } }));
    await expect(busy.client.get(THINGS, REF, call)).rejects.toMatchObject({ status: 429, retryAfterSeconds: 60 });
  });

  it("gives up after five attempts", async () => {
    const { client, clock, requests } = clientOf(unsent);
    await expect(clock.runUntil(client.get(THINGS, REF, call))).rejects.toMatchObject({ status: 0, reason: "Unsent" });
    expect(requests).toHaveLength(5);
  });

  it("ends a call without answer after its time, and at the caller's word with his reason", async () => {
    const { client, clock } = silentClient();
    await expect(clock.runUntil(client.get(THINGS, REF, call))).rejects.toMatchObject({ status: 0, reason: "Timeout" });
    const abort = new AbortController();
    const reason = new Error("enough");
    const getting = client.get(THINGS, REF, abort);
    abort.abort(reason);
    await expect(getting).rejects.toBe(reason);
  });

  it("counts requests by verb and resource", async () => {
    const { client, records } = clientOf(ok(THING));
    await client.patch(THINGS, REF, {}, call, { subresource: "status" });
    await client.remove(THINGS, REF, call);
    await client.text("/readyz", call);
    expect(records.map(({ verb, resource, status }) => [verb, resource, status])).toEqual([
      ["patch", "things/status", 200],
      ["delete", "things", 200],
      ["get", "", 200],
    ]);
  });

  it("rejects, and sends nothing, for a name that addresses something else", async () => {
    const { client, requests } = clientOf(ok(THING));
    await expect(client.remove(THINGS, { namespace: "n", name: "" }, call)).rejects.toThrow(RangeError);
    expect(requests).toEqual([]);
  });
});

describe("listAll()", () => {
  const page = (name: string, more?: string) =>
    ok({ metadata: { resourceVersion: "9", continue: more }, items: [{ metadata: { name } }] });

  it("reads page after page", async () => {
    const { client, requests } = clientOf(page("a", "p2"), page("b"));
    const list = await listAll(client, THINGS, call, { query: { namespace: "n" }, pageSize: 1 });
    expect(list.items.map(({ metadata }) => metadata.name)).toEqual(["a", "b"]);
    expect(requests.map(({ path }) => path.split("?")[1])).toEqual(["limit=1", "limit=1&continue=p2"]);
  });

  it("begins again in one piece when its pages expire", async () => {
    const { client, requests } = clientOf(page("a", "p2"), refused(410, { reason: "Expired" }), page("c"));
    const list = await listAll(client, THINGS, call, { pageSize: 1 });
    expect(list.items.map(({ metadata }) => metadata.name)).toEqual(["c"]);
    expect(requests.at(-1)?.path).toBe("/apis/x.y/v2/things");
  });
});
