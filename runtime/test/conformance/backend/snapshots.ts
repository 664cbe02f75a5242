import { describe, expect, it } from "vitest";
import { cryptoIds } from "#core/ids.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { ContainerSpec, Sandbox, SandboxSpec } from "#core/sandbox.ts";
import type { Snapshot, SnapshotSpec } from "#core/snapshot/snapshot.ts";
import type { SnapshotBackend } from "#runtime/backend/port.ts";
import { agentCalls, type AgentCalls } from "../agent-calls.ts";
import { CASE_TIMEOUT_MS, type Bench } from "../backend-harness.ts";

/** What the cases of snapshots share: names of their own, and what is removed after each. */
function shorthands(bench: () => Bench) {
  const snapshots = (): SnapshotBackend => {
    const of = bench().backend.snapshots;
    if (of === undefined) throw new Error("The backend under test takes no snapshots");
    return of;
  };
  const newName = (): string => `n${crypto.randomUUID()}`;

  async function begin(
    sandboxId: string,
    of: Partial<SnapshotSpec> = {},
    id = cryptoIds.sandboxId(),
  ): Promise<Snapshot> {
    const defaults = { snapshotName: newName(), timeoutSeconds: 60, ttlSecondsAfterFinished: 300 };
    const spec = { sandboxId, ...defaults, ...of };
    return snapshots().create({ id, spec, requestDigest: "digest" }, bench().call);
  }

  /** Its end. */
  async function end({ id }: Pick<Snapshot, "id">): Promise<Snapshot> {
    let last: Snapshot | undefined;
    const signal = AbortSignal.timeout(CASE_TIMEOUT_MS);
    for await (const snapshot of snapshots().watch(id, { ...bench().call, signal })) {
      last = snapshot;
      if (last.completedAtMs !== undefined) return last;
    }
    throw new Error(`The snapshot ${id} never ended; last seen: ${last?.phase} ${last?.reason} ${last?.message}`);
  }

  async function take(sandboxId: string, of?: Partial<SnapshotSpec>): Promise<Snapshot> {
    const ended = await end(await begin(sandboxId, of));
    if (ended.phase !== "Succeeded") throw new Error(`The snapshot failed: ${ended.reason} ${ended.message}`);
    return ended;
  }

  const from = (rootfsSnapshotName: string, container: Partial<ContainerSpec> = {}, rest?: Partial<SandboxSpec>) =>
    bench().spec({ rootfsSnapshotName, ...container }, rest);

  async function files(agent: AgentCalls, ...paths: string[]): Promise<string[]> {
    return Promise.all(paths.map(async (path) => (await agent.get(path)).text()));
  }

  return { snapshots, newName, begin, end, take, from, files };
}

/** Snapshots of a backend that takes them. */
export function snapshotCases(bench: () => Bench): void {
  const { snapshots, newName, begin, end, take, from, files } = shorthands(bench);
  const absent = { slug: "snapshot-not-found" };

  describe("snapshots", { timeout: 3 * CASE_TIMEOUT_MS }, () => {
    it("are taken of a running container, whose own files and other sandboxes go on", async () => {
      const { sandbox, agent } = await bench().running();
      await agent.put("/srv/kept", "before");
      const created = await begin(sandbox.id);
      expect(created).toMatchObject({ requestDigest: "digest", spec: { sandboxId: sandbox.id } });
      expect(["Pending", "Running"]).toContain(created.phase);
      const taken = await end(created);
      expect(taken).toMatchObject({ id: created.id, phase: "Succeeded" });
      expect(taken.result).toMatchObject({ containerName: "sandbox0", base: { image: bench().image } });
      expect(taken.result?.snapshotKey).toContain(created.spec.snapshotName);
      expect(taken.startedAtMs).toBeGreaterThanOrEqual(taken.createdAtMs);
      expect(taken.completedAtMs).toBeGreaterThanOrEqual(taken.startedAtMs ?? Infinity);
      expect((taken.expiresAtMs ?? 0) - (taken.completedAtMs ?? 0)).toBe(300_000);
      expect(await snapshots().get(created.id, bench().call)).toEqual(taken);
      await agent.put("/srv/kept", "after");
      expect(await files(agent, "/srv/kept")).toEqual(["after"]);
    });

    it("are restored as they were taken, any number of times, each apart from the others", async () => {
      const { sandbox, agent } = await bench().running();
      await agent.put("/srv/deep/file", "one");
      await agent.put("/tmp/file", "gone");
      const { spec } = await take(sandbox.id);
      await agent.put("/srv/deep/file", "two");
      const [a, b] = await Promise.all([
        bench().running(from(spec.snapshotName)),
        bench().running(from(spec.snapshotName)),
      ]);
      expect(await files(a.agent, "/srv/deep/file")).toEqual(["one"]);
      expect((await a.agent.get("/tmp/file")).status).toBe(404);
      await a.agent.put("/srv/deep/file", "mine");
      expect(await files(b.agent, "/srv/deep/file")).toEqual(["one"]);
      expect(await files(agent, "/srv/deep/file")).toEqual(["two"]);
    });

    it("of a restored sandbox hold what it was restored from, too", async () => {
      const { sandbox, agent } = await bench().running();
      await agent.put("/srv/first", "1");
      const first = await take(sandbox.id);
      const restored = await bench().running(from(first.spec.snapshotName));
      await restored.agent.put("/srv/second", "2");
      const second = await take(restored.sandbox.id);
      const again = await bench().running(from(second.spec.snapshotName));
      expect(await files(again.agent, "/srv/first", "/srv/second")).toEqual(["1", "2"]);
    });

    it("are of the named container, else of the first, and go into the one that asks", async () => {
      const both = (ofFirst: Partial<ContainerSpec> = {}, ofSide: Partial<ContainerSpec> = {}): SandboxSpec => {
        const side = { name: "side", image: bench().image, env: {}, ...ofSide };
        const spec = bench().spec(ofFirst);
        return { ...spec, containers: [...spec.containers, side] };
      };
      const { sandbox, agent } = await bench().running(both());
      for (const name of ["sandbox0", "side"]) await agent.put("/srv/me", name, name);
      const [first, side] = [await take(sandbox.id), await take(sandbox.id, { containerName: "side" })];
      expect([first.result?.containerName, side.result?.containerName]).toEqual(["sandbox0", "side"]);
      const swapped = both(
        { rootfsSnapshotName: side.spec.snapshotName },
        { rootfsSnapshotName: first.spec.snapshotName },
      );
      const restored = await bench().running(swapped);
      expect(await (await restored.agent.get("/srv/me", "sandbox0")).text()).toBe("side");
      expect(await (await restored.agent.get("/srv/me", "side")).text()).toBe("sandbox0");
    });

    it("name their container as soon as they are begun", async () => {
      const { sandbox } = await bench().running();
      const { id } = await begin(sandbox.id);
      const signal = AbortSignal.timeout(CASE_TIMEOUT_MS);
      const named = new Set<string | undefined>();
      for await (const { startedAtMs, completedAtMs, spec } of snapshots().watch(id, { ...bench().call, signal })) {
        if (startedAtMs !== undefined) named.add(spec.containerName);
        if (completedAtMs !== undefined) break;
      }
      expect([...named]).toEqual(["sandbox0"]);
    });

    it("with the same id and digest are taken once; with another digest it is a mismatch", async () => {
      const { sandbox } = await bench().running();
      const first = await begin(sandbox.id);
      const again = await begin(sandbox.id, first.spec, first.id);
      expect(again).toMatchObject({ id: first.id, createdAtMs: first.createdAtMs });
      const other = { id: first.id, spec: first.spec, requestDigest: "another" };
      await expect(snapshots().create(other, bench().call)).rejects.toMatchObject({ slug: "idempotency-mismatch" });
      await end(first);
    });

    it.each<[string, (bench: Bench) => Promise<string>, Partial<SnapshotSpec>, RegExp]>([
      ["a sandbox that does not exist", async () => "absent", {}, /^SandboxNotFound$/],
      ["a sandbox that has ended", endedSandbox, {}, /^SandboxNotRunning$|^ContainerEnded$/],
      ["a container that does not exist", runningSandbox, { containerName: "none" }, /^ContainerNotFound$/],
    ])("of %s are recorded and fail, with the reason", async (_, make, of, reason) => {
      const failed = await end(await begin(await make(bench()), of));
      expect(failed).toMatchObject({ phase: "Failed", reason: expect.stringMatching(reason) });
      expect(failed.message).toMatch(/\.$/);
      expect(failed.result).toBeUndefined();
    });

    it("of one name are taken in the order in which they were asked for, and the last one counts", async () => {
      const { sandbox, agent } = await bench().running();
      const other = await bench().running();
      await agent.put("/srv/who", "first");
      await other.agent.put("/srv/who", "last");
      const snapshotName = newName();
      const first = await begin(sandbox.id, { snapshotName });
      const last = await begin(other.sandbox.id, { snapshotName });
      const [endOfFirst, endOfLast] = await Promise.all([end(first), end(last)]);
      expect([endOfFirst.phase, endOfLast.phase]).toEqual(["Succeeded", "Succeeded"]);
      expect(endOfLast.startedAtMs).toBeGreaterThanOrEqual(endOfFirst.completedAtMs ?? Infinity);
      const restored = await bench().running(from(snapshotName));
      expect(await files(restored.agent, "/srv/who")).toEqual(["last"]);
    });

    it("are listed in the order of creation, page by page, by name and by sandbox", async () => {
      const { sandbox } = await bench().running();
      const snapshotName = newName();
      const made = [
        await take(sandbox.id, { snapshotName }),
        await take(sandbox.id),
        await take(sandbox.id, { snapshotName }),
      ];
      const ids = made.map(({ id }) => id);
      const list = async (query: object): Promise<string[]> => {
        const { items } = await snapshots().list(query, bench().call);
        return items.map(({ id }) => id);
      };
      expect(await list({ sandboxId: sandbox.id })).toEqual(ids);
      expect(await list({ snapshotName })).toEqual([ids[0], ids[2]]);
      expect(await list({ snapshotName, sandboxId: "absent" })).toEqual([]);
      const page = await snapshots().list({ sandboxId: sandbox.id, limit: 2 }, bench().call);
      expect(page.items.map(({ id }) => id)).toEqual(ids.slice(0, 2));
      // What the page ended with may go before the next one is asked for.
      await snapshots().remove(ids[1] ?? "", bench().call);
      expect(await list({ sandboxId: sandbox.id, ...(page.next === undefined ? {} : { after: page.next }) })).toEqual([
        ids[2],
      ]);
    });

    it("that are absent are not found; removing them is no fault", async () => {
      const { call } = bench();
      await expect(snapshots().get("absent", call)).rejects.toMatchObject(absent);
      await expect(snapshots().watch("absent", call)[Symbol.asyncIterator]().next()).rejects.toMatchObject(absent);
      await expect(snapshots().remove("absent", call)).resolves.toBeUndefined();
    });

    it("are gone once removed, with what they wrote", async () => {
      const { sandbox } = await bench().running();
      const { id, spec } = await take(sandbox.id);
      await snapshots().remove(id, bench().call);
      await snapshots().remove(id, bench().call);
      await expect(snapshots().get(id, bench().call)).rejects.toMatchObject(absent);
      const waiting = await bench().create(from(spec.snapshotName));
      const { message } = await bench().until(waiting.id, ({ reason }) => reason === "WaitingForSnapshot");
      expect(message).toContain(spec.snapshotName);
    });

    it("leave what a later one of their name wrote", async () => {
      const { sandbox, agent } = await bench().running();
      const snapshotName = newName();
      const first = await take(sandbox.id, { snapshotName });
      await agent.put("/srv/late", "yes");
      await take(sandbox.id, { snapshotName });
      await snapshots().remove(first.id, bench().call);
      const restored = await bench().running(from(snapshotName));
      expect(await files(restored.agent, "/srv/late")).toEqual(["yes"]);
    });

    it("outlive their record, and go with the record of a later one of their name", async () => {
      const { sandbox } = await bench().running();
      const { call } = bench();
      const { id, spec } = await take(sandbox.id, { ttlSecondsAfterFinished: 0 });
      const isGone = (): Promise<boolean> =>
        snapshots()
          .get(id, call)
          .then(
            () => false,
            (error: unknown) => error instanceof ProblemError && error.slug === absent.slug,
          );
      await expect.poll(isGone, { timeout: CASE_TIMEOUT_MS }).toBe(true);
      // There is no record of this id, so nothing is removed: what the name means is not told by it.
      await snapshots().remove(spec.snapshotName, call);
      const restored = await bench().running(from(spec.snapshotName));
      const later = await take(restored.sandbox.id, { snapshotName: spec.snapshotName });
      await snapshots().remove(later.id, call);
      const waiting = await bench().create(from(spec.snapshotName));
      await bench().until(waiting.id, ({ reason }) => reason === "WaitingForSnapshot");
    });

    it("are not removed while a sandbox starts from them", async () => {
      const { sandbox } = await bench().running();
      const { id, spec } = await take(sandbox.id);
      // The other container's snapshot keeps the start from ending.
      const other = { name: "side", image: bench().image, env: {}, rootfsSnapshotName: newName() };
      const one = from(spec.snapshotName);
      const held = await bench().create({ ...one, containers: [...one.containers, other] });
      await bench().until(held.id, ({ reason }) => reason === "WaitingForSnapshot");
      await expect(snapshots().remove(id, bench().call)).rejects.toMatchObject({ slug: "snapshot-in-use" });
      expect((await snapshots().get(id, bench().call)).phase).toBe("Succeeded");
      await bench().backend.remove(held.id, bench().call);
      await bench().gone(held.id);
      await snapshots().remove(id, bench().call);
    });

    it("that do not exist yet are waited for", async () => {
      const { sandbox, agent } = await bench().running();
      await agent.put("/srv/kept", "yes");
      const snapshotName = newName();
      const { id } = await bench().create(from(snapshotName));
      const waiting = await bench().until(id, ({ reason }) => reason === "WaitingForSnapshot");
      expect(waiting).toMatchObject({ phase: "Pending", message: expect.stringContaining(snapshotName) });
      await take(sandbox.id, { snapshotName });
      await bench().until(id, ({ phase }) => phase === "Running");
      expect(await files(agentCalls(await bench().backend.agent(id, bench().call)), "/srv/kept")).toEqual(["yes"]);
    });

    it("that never come fail the start in time, by name", async () => {
      const snapshotName = newName();
      const { id } = await bench().create(from(snapshotName, {}, { startupTimeoutSeconds: 3 }));
      const failed = await bench().until(id, ({ phase }) => phase !== "Pending");
      expect(failed).toMatchObject({ phase: "Failed", reason: "StartupTimeoutExceeded" });
      expect(failed.message).toContain(snapshotName);
    });

    it("are not restored onto another image, unless one says so", async () => {
      const { otherImage } = bench().snapshots ?? {};
      if (otherImage === undefined) throw new Error("The world of the backend under test has no other image");
      const { sandbox, agent } = await bench().running();
      await agent.put("/srv/kept", "yes");
      const { spec } = await take(sandbox.id);
      const { id } = await bench().create(from(spec.snapshotName, { image: otherImage }));
      const failed = await bench().until(id, ({ phase }) => phase !== "Pending");
      expect(failed).toMatchObject({ phase: "Failed", reason: "RootfsRestoreConfigurationError" });
      for (const part of [spec.snapshotName, bench().image, otherImage, /sha256:.*sha256:/])
        expect(failed.message).toMatch(part);
      const forced = { image: otherImage, rootfsSnapshotAllowOtherBase: true };
      const restored = await bench().running(from(spec.snapshotName, forced));
      expect(await files(restored.agent, "/srv/kept")).toEqual(["yes"]);
    });

    it("at the end are taken before a removal is done", async () => {
      const snapshotName = newName();
      const terminationPolicy = {
        type: "SnapshotRootfs",
        snapshotRootfs: { snapshotName, timeoutSeconds: 60 },
      } as const;
      const { sandbox, agent } = await bench().running(bench().spec({}, { terminationPolicy }));
      await agent.put("/srv/last", "words");
      const seen: Sandbox[] = [];
      const watch = (async () => {
        for await (const state of bench().backend.watch(sandbox.id, bench().call)) seen.push(state);
      })();
      await bench().backend.remove(sandbox.id, bench().call);
      await bench().backend.remove(sandbox.id, bench().call);
      await watch;
      expect(seen.map(({ reason }) => reason)).toContain("RootfsSnapshottingInProgress");
      const record = await snapshots().get(`${sandbox.id}-termination`, bench().call);
      expect(record).toMatchObject({ phase: "Succeeded", spec: { snapshotName, sandboxId: sandbox.id } });
      const restored = await bench().running(from(snapshotName));
      expect(await files(restored.agent, "/srv/last")).toEqual(["words"]);
    });

    it("at the end are taken when the lifetime is over, too", async () => {
      const { lifetimeSeconds = 1 } = bench();
      const terminationPolicy = { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 60 } } as const;
      const { sandbox } = await bench().running(
        bench().spec({}, { terminationPolicy, timeoutSeconds: lifetimeSeconds }),
      );
      const ended = await bench().until(sandbox.id, ({ endedAtMs }) => endedAtMs !== undefined);
      expect(ended).toMatchObject({ phase: "Succeeded", reason: "Timeout" });
      const record = await snapshots().get(`${sandbox.id}-termination`, bench().call);
      expect(record).toMatchObject({ phase: "Succeeded", spec: { snapshotName: sandbox.id } });
    });

    it("at the end of a sandbox that never ran or has ended are not taken", async () => {
      const terminationPolicy = { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 60 } } as const;
      const started = await bench().create(from(newName(), {}, { terminationPolicy }));
      const over = await bench().create(bench().spec({ command: ["true"] }, { terminationPolicy }));
      await bench().until(over.id, ({ endedAtMs }) => endedAtMs !== undefined);
      for (const { id } of [started, over]) {
        await bench().backend.remove(id, bench().call);
        await bench().gone(id);
        await expect(snapshots().get(`${id}-termination`, bench().call)).rejects.toMatchObject(absent);
      }
    });
  });
}

async function runningSandbox({ running }: Bench): Promise<string> {
  return (await running()).sandbox.id;
}

async function endedSandbox({ create, spec, until }: Bench): Promise<string> {
  const { id } = await create(spec({ command: ["true"] }));
  await until(id, ({ endedAtMs }) => endedAtMs !== undefined);
  return id;
}
