import { describe, expect, it } from "vitest";
import { Problem } from "#api/problem.ts";
import { SandboxResponse } from "#api/sandbox.ts";
import { eventually, type HttpClient } from "../http-client.ts";
import type { HttpWorld } from "./world.ts";

const image = "atoll/debian";
const containers = (...list: object[]): object => ({ podTemplate: { containers: list } });
const one = (rest: object): object => containers({ image, ...rest });
const network = (of: object): object => ({ ...containers({ image }), network: of });

/** What the runtime under test can do. */
export interface RuntimeAbilities extends HttpWorld {
  /** Whether work goes on when the connection of its request has gone. */
  readonly outlivesRequests: boolean;
}

export function sandboxCases(client: () => HttpClient, abilities: RuntimeAbilities): void {
  describe("sandboxes", () => {
    it("are created with names and defaults filled in and quantities canonical; env is never told", async () => {
      const resources = { limits: { cpu: "1000m", memory: "1024Mi" }, requests: {} };
      const body = {
        ...containers(
          { image, env: { SECRET: "s3cret" }, resources },
          { image, name: "second", command: ["sleep", "9"] },
          { image },
        ),
        timeoutSeconds: 600,
        network: { nameservers: [], allowInternetEgress: false },
        terminationPolicy: { type: "Delete" },
      };
      const answer = await client().sendJson("/v1/sandboxes", body);
      const text = await answer.text();
      expect(answer.status).toBe(201);
      expect(text).not.toContain("s3cret");
      const sandbox = SandboxResponse.parse(JSON.parse(text));
      expect(sandbox).toMatchObject({
        podTemplate: {
          containers: [
            { name: "sandbox0", image, resources: { limits: { cpu: "1", memory: "1Gi" } } },
            { name: "second", image, command: ["sleep", "9"] },
            { name: "sandbox2", image },
          ],
        },
        status: "Running",
        startupTimeoutSeconds: 90,
        timeoutSeconds: 600,
        network: { nameservers: [], allowInternetEgress: false },
        terminationPolicy: { type: "Delete" },
      });
      expect(sandbox.id).toMatch(/^[a-z][a-z0-9]{21}$/);
      expect(sandbox.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(sandbox.podTemplate.containers[0]?.resources).not.toHaveProperty("requests");
      expect(await (await client().send(`/v1/sandboxes/${sandbox.id}`)).json()).toEqual(JSON.parse(text));
    });

    it("that cannot start are a 201 with status Failed and the reason", async () => {
      const answer = await client().sendJson("/v1/sandboxes", containers({ image: abilities.missingImage }));
      expect([answer.status, await answer.json()]).toEqual([
        201,
        expect.objectContaining({ status: "Failed", reason: "ImageNotFound" }),
      ]);
    });

    it.each([
      { what: "no pod template", body: {}, status: 422, at: "body.podTemplate" },
      { what: "no container", body: containers(), status: 422, at: "body.podTemplate.containers" },
      { what: "an unknown property", body: { ...one({}), colour: 1 }, status: 422, at: "body.colour" },
      {
        what: "an unknown property of a container",
        body: one({ colour: 1 }),
        status: 422,
        at: "body.podTemplate.containers[0].colour",
      },
      {
        what: "an empty image",
        body: containers({ image: "" }),
        status: 422,
        at: "body.podTemplate.containers[0].image",
      },
      {
        what: "a name that is no label",
        body: one({ name: "A_b" }),
        status: 422,
        at: "body.podTemplate.containers[0].name",
      },
      {
        what: "a name twice",
        body: containers({ image, name: "sandbox1" }, { image }),
        status: 422,
        at: "body.podTemplate.containers[1].name",
      },
      {
        what: "a variable without a name",
        body: one({ env: { "": "x" } }),
        status: 422,
        at: "body.podTemplate.containers[0].env",
      },
      { what: "a timeout of 0", body: { ...one({}), timeoutSeconds: 0 }, status: 422, at: "body.timeoutSeconds" },
      { what: "a null timeout", body: { ...one({}), timeoutSeconds: null }, status: 422, at: "body.timeoutSeconds" },
      {
        what: "17 CIDRs",
        body: network({ allowedEgressCIDRs: Array(17).fill("1.1.1.1/32") }),
        status: 422,
        at: "body.network.allowedEgressCIDRs",
      },
      {
        what: "the 0.5 casing",
        body: network({ allowClusterDns: true }),
        status: 422,
        at: "body.network.allowClusterDns",
      },
      {
        what: "a rate of 0",
        body: network({ egressRateLimitBytesPerSecond: 0 }),
        status: 422,
        at: "body.network.egressRateLimitBytesPerSecond",
      },
      {
        what: "a policy without its part",
        body: { ...one({}), terminationPolicy: { type: "SnapshotRootfs" } },
        status: 422,
        at: "body.terminationPolicy.snapshotRootfs",
      },
      {
        what: "a request above the limit",
        body: one({ resources: { limits: { cpu: "1" }, requests: { cpu: "1001m" } } }),
        status: 422,
        at: "body.podTemplate.containers[0].resources.requests.cpu",
      },
    ])("with $what are refused, naming the place", async ({ body, status, at }) => {
      const answer = await client().sendJson("/v1/sandboxes", body);
      expect(answer.status).toBe(status);
      const problem = Problem.parse(await answer.json());
      expect(problem.errors?.map(({ location }) => location)).toContain(at);
      expect(problem.detail).toContain(problem.errors?.[0]?.location);
    });

    it.each([
      {
        what: "a bad quantity",
        body: one({ name: "app", resources: { limits: { cpu: "one" } } }),
        slug: "bad-quantity",
        status: 400,
        says: /app.*limits\.cpu/,
      },
      {
        what: "a negative quantity",
        body: one({ resources: { requests: { memory: "-1Gi" } } }),
        slug: "bad-quantity",
        status: 400,
        says: /requests\.memory/,
      },
      {
        what: "a blocked range",
        body: network({ allowedEgressCIDRs: ["10.1.0.0/16"] }),
        slug: "blocked-cidr",
        status: 422,
        says: /10\.1\.0\.0/,
      },
    ])("with $what are refused, saying so in the detail", async ({ body, slug, status, says }) => {
      const answer = await client().sendJson("/v1/sandboxes", body);
      const problem = Problem.parse(await answer.json());
      expect([answer.status, problem.type]).toEqual([status, `urn:atoll:problem:${slug}`]);
      expect(problem.detail).toMatch(says);
    });

    it("take a blocked range that internet egress makes moot, and the whole internet", async () => {
      const moot = network({ allowInternetEgress: true, allowedEgressCIDRs: ["10.1.0.0/16"] });
      expect((await client().sendJson("/v1/sandboxes", moot)).status).toBe(201);
      expect((await client().sendJson("/v1/sandboxes", network({ allowedEgressCIDRs: ["0.0.0.0/0"] }))).status).toBe(
        201,
      );
    });

    it.each([
      { what: "JSON that is none", headers: { "Content-Type": "application/json" }, body: "{", status: 400 },
      {
        what: "text that is not UTF-8",
        headers: { "Content-Type": "application/json" },
        body: Uint8Array.of(0x22, 0xff, 0x22),
        status: 400,
      },
      {
        what: "a member twice",
        headers: { "Content-Type": "application/json" },
        body: '{"podTemplate":{"containers":[{"image":"a","image":"b"}]}}',
        status: 400,
      },
      { what: "another media type", headers: { "Content-Type": "text/plain" }, body: "{}", status: 415 },
      {
        what: "more than 1 MiB",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify("x".repeat(1 << 20)),
        status: 413,
      },
    ])("bodies with $what are refused", async ({ headers, body, status }) => {
      const answer = await client().send("/v1/sandboxes", { method: "POST", headers, body });
      expect(answer.status).toBe(status);
    });

    it("more than 1 MiB without a length is refused too", async () => {
      // It ends, lest a client go on sending to a server that has answered and listens no more.
      const body = new Blob([new Uint8Array(8 << 20).fill(0x20)]).stream();
      const init = {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body,
        duplex: "half",
      } as RequestInit;
      const answer = await client()
        .send("/v1/sandboxes", init)
        .then(
          (response) => response.status,
          () => "cut",
        );
      expect([413, "cut"]).toContain(answer);
    });

    it("are listed, got and deleted; deleting is idempotent", async () => {
      const base = await client().sandbox();
      const id = base.split("/").at(-1);
      const { sandboxes } = (await (await client().send("/v1/sandboxes")).json()) as { sandboxes: { id: string }[] };
      const listed = sandboxes.find((sandbox) => sandbox.id === id);
      expect(Object.keys(listed ?? {}).sort()).toEqual(["creationTimestamp", "id", "status"]);
      expect((await client().send(base, { method: "DELETE" })).status).toBe(204);
      expect((await client().send(base, { method: "DELETE" })).status).toBe(204);
      await eventually(async () => expect((await client().send(base)).status).toBe(404));
      expect((await client().sendJson(`${base}/commands`, { args: ["true"] })).status).toBe(404);
    });

    it.each(["/v1/sandboxes/Upper", "/v1/sandboxes/a%2Fb", "/v1/sandboxes/a%20b", `/v1/sandboxes/${"a".repeat(48)}`])(
      "%s is no id",
      async (path) => {
        expect((await client().send(path)).status).toBe(422);
      },
    );

    it("with a key are made once, however often asked for; another request with it is a mismatch", async () => {
      const headers = { "Idempotency-Key": `key ${crypto.randomUUID()}` };
      const answers = await Promise.all([1, 2, 3].map(() => client().sendJson("/v1/sandboxes", one({}), headers)));
      const ids = await Promise.all(answers.map(async (answer) => ((await answer.json()) as { id: string }).id));
      expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
      expect(new Set(ids).size).toBe(1);
      const other = await client().sendJson("/v1/sandboxes", one({ env: { A: "1" } }), headers);
      expect([other.status, Problem.parse(await other.json()).type]).toEqual([
        422,
        "urn:atoll:problem:idempotency-mismatch",
      ]);
    });

    it.each(["", "x".repeat(256), "caf\u00e9"])("the key %j is refused", async (key) => {
      const answer = await client().sendJson("/v1/sandboxes", one({}), { "Idempotency-Key": key });
      expect(answer.status).toBe(422);
    });
  });

  if (abilities.outlivesRequests) abandonedCreates(client, abilities);
}

function abandonedCreates(client: () => HttpClient, { abandonedCreates: times, patienceMs }: HttpWorld): void {
  describe("sandboxes", () => {
    it("whose creator goes away before the answer leave nothing", async () => {
      const count = async (): Promise<number> =>
        ((await (await client().send("/v1/sandboxes")).json()) as { sandboxes: unknown[] }).sandboxes.length;
      const before = await count();
      const body = JSON.stringify(client().sandboxBody({ image: "slow.invalid/image" }));
      const head = `POST /v1/sandboxes HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: ${body.length}\n\n`;
      const sockets = await Promise.all(Array.from({ length: times }, () => client().raw(head + body)));
      await eventually(async () => expect(await count()).toBe(before + times), patienceMs);
      for (const socket of sockets) socket.destroy();
      await eventually(async () => expect(await count()).toBe(before), patienceMs);
    });
  });
}
