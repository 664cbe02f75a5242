import { describe, expect, it } from "vitest";
import { Problem } from "#api/problem.ts";
import { SandboxResponse } from "#api/sandbox.ts";
import { RootfsSnapshotList, RootfsSnapshotResponse } from "#api/snapshot.ts";
import { eventually, type HttpClient } from "../http-client.ts";
import type { HttpWorld } from "./world.ts";

const PATH = "/v1/rootfs-snapshots";

/** The REST API of snapshots, over a gateway whose backend takes them. */
export function snapshotCases(client: () => HttpClient, { patienceMs }: HttpWorld): void {
  const newName = (): string => `n${crypto.randomUUID()}`;
  const read = async (path: string): Promise<RootfsSnapshotResponse> =>
    RootfsSnapshotResponse.parse(await (await client().send(path)).json());
  const idOf = (sandbox: string): string => sandbox.split("/").at(-1) ?? "";
  const write = (sandbox: string, path: string, body: string): Promise<Response> =>
    client().send(`${sandbox}/filesystem?${new URLSearchParams({ path })}`, { method: "POST", body });

  async function take(sandbox: string, rest: object = {}): Promise<RootfsSnapshotResponse> {
    const answer = await client().sendJson(PATH, { sandboxId: idOf(sandbox), snapshotName: newName(), ...rest });
    expect(answer.status).toBe(201);
    const { id } = RootfsSnapshotResponse.parse(await answer.json());
    return eventually(async () => {
      const snapshot = await read(`${PATH}/${id}`);
      expect(["Succeeded", "Failed"]).toContain(snapshot.status);
      return snapshot;
    }, patienceMs);
  }

  describe("snapshots", () => {
    it("are taken, got and restored", async () => {
      const sandbox = await client().sandbox();
      await write(sandbox, "/srv/kept", "yes");
      const taken = await take(sandbox);
      expect(taken).toMatchObject({
        sandboxId: idOf(sandbox),
        containerName: "sandbox0",
        timeoutSeconds: 300,
        ttlSecondsAfterFinished: 300,
        status: "Succeeded",
        base: { image: "atoll/debian" },
      });
      expect(taken.id).toMatch(/^[a-z][a-z0-9]{21}$/);
      expect(taken.snapshotKey).toContain(taken.snapshotName);
      expect(Date.parse(taken.expiresAt ?? "") - Date.parse(taken.completedAt ?? "")).toBe(300_000);
      const restored = await client().sandbox(client().sandboxBody({ rootfsSnapshotName: taken.snapshotName }));
      const answer = await client().send(`${restored}/filesystem?path=/srv/kept`);
      expect([answer.status, await answer.text()]).toEqual([200, "yes"]);
      const { podTemplate } = SandboxResponse.parse(await (await client().send(restored)).json());
      expect(podTemplate.containers[0]?.rootfsSnapshotName).toBe(taken.snapshotName);
    });

    it("without a name bear the sandbox's id, and their terms are told back", async () => {
      const sandbox = await client().sandbox();
      const terms = { containerName: "sandbox0", timeoutSeconds: 60, ttlSecondsAfterFinished: 0 };
      const answer = await client().sendJson(PATH, { sandboxId: idOf(sandbox), ...terms });
      expect(answer.status).toBe(201);
      expect(await answer.json()).toMatchObject({ snapshotName: idOf(sandbox), ...terms });
    });

    it("of a sandbox that does not exist are a 201, and fail with the reason", async () => {
      const answer = await client().sendJson(PATH, { sandboxId: "absent" });
      expect(answer.status).toBe(201);
      const { id } = RootfsSnapshotResponse.parse(await answer.json());
      const failed = await eventually(async () => {
        const snapshot = await read(`${PATH}/${id}`);
        expect(snapshot.status).toBe("Failed");
        return snapshot;
      }, patienceMs);
      expect(failed).toMatchObject({ reason: "SandboxNotFound", message: expect.stringContaining('"absent"') });
      expect(failed).not.toHaveProperty("snapshotKey");
    });

    it("are listed page by page", async () => {
      const sandbox = await client().sandbox();
      const ids = [(await take(sandbox)).id, (await take(sandbox)).id, (await take(sandbox)).id];
      const seen: string[] = [];
      let after: string | undefined;
      do {
        const query = new URLSearchParams({
          sandboxId: idOf(sandbox),
          limit: "2",
          ...(after === undefined ? {} : { after }),
        });
        const page = RootfsSnapshotList.parse(await (await client().send(`${PATH}?${query}`)).json());
        expect(page.rootfsSnapshots.length).toBeLessThanOrEqual(2);
        seen.push(...page.rootfsSnapshots.map(({ id }) => id));
        after = page.next;
      } while (after !== undefined);
      expect(seen).toEqual(ids);
    });

    it("are deleted, twice if need be", async () => {
      const { id } = await take(await client().sandbox());
      for (const _ of [1, 2]) expect((await client().send(`${PATH}/${id}`, { method: "DELETE" })).status).toBe(204);
      const answer = await client().send(`${PATH}/${id}`);
      expect([answer.status, Problem.parse(await answer.json()).type]).toEqual([
        404,
        "urn:atoll:problem:snapshot-not-found",
      ]);
    });

    it("with a key are taken once; another request with it is a mismatch", async () => {
      const sandboxId = idOf(await client().sandbox());
      const headers = { "Idempotency-Key": `key ${crypto.randomUUID()}` };
      const body = { sandboxId, snapshotName: newName() };
      const answers = await Promise.all([1, 2, 3].map(() => client().sendJson(PATH, body, headers)));
      const ids = await Promise.all(answers.map(async (answer) => ((await answer.json()) as { id: string }).id));
      expect(new Set(ids).size).toBe(1);
      const other = await client().sendJson(PATH, { ...body, timeoutSeconds: 9 }, headers);
      const problem = Problem.parse(await other.json());
      expect([other.status, problem.type]).toEqual([422, "urn:atoll:problem:idempotency-mismatch"]);
      expect(problem.detail).toContain("use a new key");
    });

    it("at the end of a sandbox are named after it unless the policy names them", async () => {
      const policy = { type: "SnapshotRootfs", snapshotRootfs: {} };
      const sandbox = await client().sandbox(client().sandboxBody({}, { terminationPolicy: policy }));
      const snapshotRootfs = { snapshotName: idOf(sandbox), timeoutSeconds: 300 };
      expect(await (await client().send(sandbox)).json()).toMatchObject({
        terminationPolicy: { ...policy, snapshotRootfs },
      });
      await client().send(sandbox, { method: "DELETE" });
      await eventually(async () => expect((await client().send(sandbox)).status).toBe(404), patienceMs);
      const record = await read(`${PATH}/${idOf(sandbox)}-termination`);
      expect(record).toMatchObject({ status: "Succeeded", snapshotName: idOf(sandbox), ttlSecondsAfterFinished: 300 });
    });

    it.each([
      { what: "no sandbox", body: {}, at: "body.sandboxId" },
      { what: "a sandbox that is no id", body: { sandboxId: "Upper" }, at: "body.sandboxId" },
      { what: "a bad name", body: { sandboxId: "a", snapshotName: "../x" }, at: "body.snapshotName" },
      { what: "an empty name", body: { sandboxId: "a", snapshotName: "" }, at: "body.snapshotName" },
      { what: "a name too long", body: { sandboxId: "a", snapshotName: "a".repeat(60) }, at: "body.snapshotName" },
      { what: "a bad container", body: { sandboxId: "a", containerName: "a.b" }, at: "body.containerName" },
      { what: "no time", body: { sandboxId: "a", timeoutSeconds: 0 }, at: "body.timeoutSeconds" },
      {
        what: "a negative life",
        body: { sandboxId: "a", ttlSecondsAfterFinished: -1 },
        at: "body.ttlSecondsAfterFinished",
      },
      { what: "an unknown property", body: { sandboxId: "a", colour: 1 }, at: "body.colour" },
    ])("with $what are refused, naming the place", async ({ body, at }) => {
      const answer = await client().sendJson(PATH, body);
      expect(answer.status).toBe(422);
      expect(Problem.parse(await answer.json()).errors?.map(({ location }) => location)).toContain(at);
    });

    it("say in words what would be right", async () => {
      const detailOf = async (body: object): Promise<string | undefined> =>
        Problem.parse(await (await client().sendJson(PATH, body)).json()).detail;
      expect(await detailOf({})).toBe("body.sandboxId: Missing: expected string");
      expect(await detailOf({ sandboxId: "a", snapshotName: "A_b" })).toMatch(
        /^body\.snapshotName: Expected lower-case letters, digits, "-" and "\."/,
      );
    });

    it("with a member twice are refused, naming it", async () => {
      const body = '{"sandboxId":"a","snapshotName":"a","snapshotName":"b"}';
      const headers = { "content-type": "application/json" };
      const answer = await client().send(PATH, { method: "POST", headers, body });
      const { detail } = Problem.parse(await answer.json());
      expect([answer.status, detail]).toEqual([
        400,
        'The body has the member "snapshotName" twice in one object; leave one of them out.',
      ]);
    });

    it.each([`${PATH}/Upper`, `${PATH}/${"a".repeat(60)}`, `${PATH}?limit=0`, `${PATH}?limit=1001`, `${PATH}?after=x`])(
      "%s is refused",
      async (path) => expect((await client().send(path)).status).toBe(422),
    );

    it("another image is allowed only where there is a snapshot", async () => {
      const body = client().sandboxBody({ rootfsSnapshotAllowOtherBase: true });
      const answer = await client().sendJson("/v1/sandboxes", body);
      const { errors } = Problem.parse(await answer.json());
      expect([answer.status, errors?.[0]?.location]).toEqual([
        422,
        "body.podTemplate.containers[0].rootfsSnapshotAllowOtherBase",
      ]);
    });
  });
}

/** What a gateway says whose backend takes no snapshots. */
export function snapshotRefusalCases(client: () => Pick<HttpClient, "send" | "sendJson" | "sandboxBody">): void {
  const policy = { terminationPolicy: { type: "SnapshotRootfs", snapshotRootfs: {} } };

  it.each<[string, () => Promise<Response>]>([
    ["taking one", () => client().sendJson(PATH, { sandboxId: "a" })],
    ["listing them", () => client().send(PATH)],
    ["getting one", () => client().send(`${PATH}/a`)],
    ["deleting one", () => client().send(`${PATH}/a`, { method: "DELETE" })],
    ["starting from one", () => client().sendJson("/v1/sandboxes", client().sandboxBody({ rootfsSnapshotName: "s" }))],
    ["one at the end", () => client().sendJson("/v1/sandboxes", client().sandboxBody({}, policy))],
  ])("snapshots: %s is refused, saying so", async (_, send) => {
    const answer = await send();
    const { type, detail } = Problem.parse(await answer.json());
    expect([answer.status, type]).toEqual([422, "urn:atoll:problem:not-supported"]);
    expect(detail).toContain("not supported by this installation");
  });
}
