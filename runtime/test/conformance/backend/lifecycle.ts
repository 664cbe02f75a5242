import { describe, expect, it } from "vitest";
import { CASE_TIMEOUT_MS, type Bench } from "../backend-harness.ts";

export function lifecycleCases(bench: () => Bench): void {
  describe("lifecycle", { timeout: CASE_TIMEOUT_MS }, () => {
    it("create() answers with the request's facts and comes to Running", async () => {
      const { create, spec, until, backend, call } = bench();
      const of = spec({ env: { A: "1" } }, { timeoutSeconds: 600 });
      const created = await create(of);
      expect(created).toMatchObject({ spec: of, requestDigest: "digest" });
      expect(["Pending", "Running"]).toContain(created.phase);
      const running = await until(created.id, ({ phase }) => phase === "Running");
      expect(running.startedAtMs).toBeGreaterThanOrEqual(running.createdAtMs);
      expect(await backend.get(created.id, call)).toMatchObject({ id: created.id, phase: "Running", spec: of });
    });

    it("create() with the same id and digest answers the existing sandbox", async () => {
      const { create, spec, backend, call } = bench();
      const first = await create();
      const again = await create(spec(), first.id);
      expect(again).toMatchObject({ id: first.id, createdAtMs: first.createdAtMs });
      expect((await backend.list({}, call)).items.filter(({ id }) => id === first.id)).toHaveLength(1);
    });

    it("create() with the same id and another digest is a mismatch", async () => {
      const { create, spec } = bench();
      const first = await create();
      await expect(create(spec(), first.id, "another")).rejects.toMatchObject({ slug: "idempotency-mismatch" });
    });

    it("confirm() makes a provisional sandbox last, twice if need be", async () => {
      const { backend, spec, call, until } = bench();
      const id = `p${crypto.randomUUID()}`.slice(0, 22);
      await backend.create({ id, spec: spec(), requestDigest: "d", provisional: true }, call);
      await backend.confirm(id, call);
      await backend.confirm(id, call);
      expect((await until(id, ({ phase }) => phase !== "Pending")).phase).toBe("Running");
      await backend.remove(id, call);
    });

    it("get(), watch() and agent() of an absent sandbox are sandbox-not-found; remove() is no fault", async () => {
      const { backend, call } = bench();
      const absent = { slug: "sandbox-not-found" };
      await expect(backend.get("absent", call)).rejects.toMatchObject(absent);
      await expect(backend.agent("absent", call)).rejects.toMatchObject(absent);
      await expect(backend.watch("absent", call)[Symbol.asyncIterator]().next()).rejects.toMatchObject(absent);
      await expect(backend.remove("absent", call)).resolves.toBeUndefined();
    });

    it("phases() has the phase of each sandbox that list() has", async () => {
      const { create, backend, call, until } = bench();
      await until((await create()).id, ({ phase }) => phase === "Running");
      const [phases, { items }] = [[...backend.phases()], await backend.list({}, call)];
      expect(phases).toContain("Running");
      expect(phases.toSorted()).toEqual(items.map(({ phase }) => phase).toSorted());
    });

    it("list() answers in creation order, page by page", async () => {
      const { create, backend, call, allGone } = bench();
      // What earlier cases made must not go between two pages.
      await allGone();
      const ids = [(await create()).id, (await create()).id, (await create()).id];
      const all = (await backend.list({}, call)).items.map(({ id }) => id);
      expect(all.filter((id) => ids.includes(id))).toEqual(ids);
      const paged: string[] = [];
      let after: string | undefined;
      do {
        const page = await backend.list({ limit: 2, ...(after === undefined ? {} : { after }) }, call);
        paged.push(...page.items.map(({ id }) => id));
        after = page.next;
      } while (after !== undefined);
      expect(paged).toEqual(all);
    });

    it("remove() makes the sandbox go, twice if need be", async () => {
      const { running, backend, call, gone } = bench();
      const { sandbox } = await running();
      await backend.remove(sandbox.id, call);
      await backend.remove(sandbox.id, call);
      await gone(sandbox.id);
      await expect(backend.get(sandbox.id, call)).rejects.toMatchObject({ slug: "sandbox-not-found" });
      await expect(backend.agent(sandbox.id, call)).rejects.toMatchObject({ slug: "sandbox-not-found" });
    });

    it("remove() during the start leaves nothing", async () => {
      const { create, backend, call, gone } = bench();
      const { id } = await create();
      await backend.remove(id, call);
      await gone(id);
      await expect(backend.get(id, call)).rejects.toMatchObject({ slug: "sandbox-not-found" });
    });

    it("watch() gives the present state first and ends when its signal aborts", async () => {
      const { running, backend, call } = bench();
      const { sandbox } = await running();
      const stop = new AbortController();
      const seen: string[] = [];
      for await (const { phase } of backend.watch(sandbox.id, { ...call, signal: stop.signal })) {
        seen.push(phase);
        stop.abort();
      }
      expect(seen).toEqual(["Running"]);
    });

    it.each([
      { command: ["true"], phase: "Succeeded", reason: "PodSucceeded" },
      { command: ["sh", "-c", "exit 3"], phase: "Failed", reason: "PodFailed" },
    ])("a main process that ends makes the sandbox end: $command", async ({ command, phase, reason }) => {
      const { create, spec, until, backend, call } = bench();
      const { id } = await create(spec({ command }));
      const ended = await until(id, (sandbox) => sandbox.endedAtMs !== undefined);
      expect(ended).toMatchObject({ phase, reason });
      expect(await backend.get(id, call)).toMatchObject({ phase, reason });
      await expect(backend.agent(id, call)).rejects.toMatchObject({ slug: "sandbox-ended" });
    });

    it("an image that does not exist fails at once, with the reason, and the record stays", async () => {
      const { missingImage, create, spec, until, backend, call } = bench();
      const { id } = await create(spec({ image: missingImage }));
      const failed = await until(id, ({ phase }) => phase !== "Pending");
      expect(failed).toMatchObject({ phase: "Failed", reason: "ImageNotFound" });
      expect(failed.message).toContain(missingImage);
      expect((await backend.get(id, call)).phase).toBe("Failed");
    });

    it("a lifetime that is over ends the sandbox as a success", async () => {
      const { running, spec, until, lifetimeSeconds = 1 } = bench();
      const { sandbox } = await running(spec({}, { timeoutSeconds: lifetimeSeconds }));
      const ended = await until(sandbox.id, ({ endedAtMs }) => endedAtMs !== undefined);
      expect(ended).toMatchObject({ phase: "Succeeded", reason: "Timeout" });
      expect((ended.endedAtMs ?? 0) - (ended.startedAtMs ?? 0)).toBeGreaterThanOrEqual(lifetimeSeconds * 1000);
    });
  });
}
