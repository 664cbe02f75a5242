import { describe, expect, it } from "vitest";
import { cryptoIds } from "#core/ids.ts";
import { createLog } from "#core/log.ts";
import { ProblemError } from "#core/problem-error.ts";
import { createMemoryBackend } from "#runtime/backend/memory/create-memory-backend.ts";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { gatewayFixture } from "../../../test/gateway-fixture.ts";
import { createDiscards } from "./discards.ts";

const BODY = { podTemplate: { containers: [{ image: "img" }] } };
const SLOW = { podTemplate: { containers: [{ image: "slow.invalid/img" }] } };
const away = (slug: "internal" | "unavailable") => () => Promise.reject(new ProblemError(slug, "Away."));

/** A gateway whose backend is away from the confirmation on, until it is put right. */
function outage(broken: Partial<SandboxBackend>) {
  const memory = createMemoryBackend();
  const clock = createManualClock();
  const backend: SandboxBackend = { ...memory, ...broken };
  const gateway = gatewayFixture({ backend, clock });
  const left = (): number => [...memory.phases()].length;
  const told = (): unknown[] => gateway.lines.filter(({ message }) => /has no answer/.test(String(message)));
  return { ...gateway, memory, clock, backend, left, told };
}

describe("a sandbox whose creator gets an error for an answer", () => {
  it.each([
    { what: "the confirmation", broken: { confirm: away("internal") } },
    { what: "the confirmation, for a fault of the disk", broken: { confirm: () => Promise.reject(new Error("full")) } },
  ])("is removed once the backend takes it, though $what failed and removals do for minutes", async ({ broken }) => {
    const { sendJson, clock, memory, backend, left, told } = outage({ ...broken, remove: away("unavailable") });
    expect((await sendJson("/v1/sandboxes", BODY)).status).toBe(500);
    await clock.advance(300_000);
    expect([left(), told()]).toEqual([1, []]);
    backend.remove = memory.remove;
    await clock.advance(30_000);
    expect(left()).toBe(0);
    expect(told()).toMatchObject([{ level: "info" }]);
  });

  it("is removed where it is not known whether it was made, and left alone where it was refused", async () => {
    const removed: string[] = [];
    const remove = async (id: string): Promise<void> => void removed.push(id);
    for (const slug of ["internal", "unavailable"] as const) {
      const { sendJson, clock } = outage({ create: away(slug), remove });
      await sendJson("/v1/sandboxes", BODY);
      await clock.settle();
    }
    expect(removed).toHaveLength(1);
  });

  it.each([
    { key: undefined, kept: 0 },
    { key: "k", kept: 1 },
  ])("with the key $key leaves $kept sandboxes when the wait for it failed", async ({ key, kept }) => {
    const watch = (): never => {
      throw new ProblemError("internal", "Away.");
    };
    const { sendJson, clock, left } = outage({ watch });
    const headers: Record<string, string> = key === undefined ? {} : { "Idempotency-Key": key };
    expect((await sendJson("/v1/sandboxes", SLOW, { headers })).status).toBe(500);
    await clock.settle();
    expect(left()).toBe(kept);
  });

  it("is given up after a time, which is told once", async () => {
    const { sendJson, clock, left, told } = outage({ confirm: away("internal"), remove: away("unavailable") });
    await sendJson("/v1/sandboxes", BODY);
    await clock.advance(599_000);
    expect(told()).toEqual([]);
    await clock.advance(3_600_000);
    expect(left()).toBe(1);
    expect(told()).toMatchObject([{ level: "error" }]);
  });
});

describe("createDiscards()", () => {
  it("keeps at most a thousand waiting, and says so of the others", async () => {
    const gate = Promise.withResolvers<void>();
    const backend = { ...createMemoryBackend(), remove: () => gate.promise };
    const clock = createManualClock();
    const discards = createDiscards({ backend, clock, ids: cryptoIds });
    const lines: string[] = [];
    const log = createLog("debug", (line) => lines.push(line), clock.now);
    for (let n = 0; n < 1002; n += 1) discards.begin(`box-${n}`, log);
    expect([discards.open, lines.length]).toEqual([1000, 2]);
    gate.resolve();
    await clock.settle();
    expect([discards.open, lines.length]).toEqual([0, 1002]);
  });
});
