import { describe, expect, test } from "vitest";
import { planCollection } from "./collect-plan.ts";

const patience = { graceMs: 100, uploadMs: 1000 };
const nowMs = 10_000;
const layer = (key: string, ageMs: number) => ({ key, version: "v", modifiedAtMs: nowMs - ageMs });
const note = (layerKey: string, ageMs: number) => ({ ...layer(`${layerKey}.unused`, ageMs), layerKey });
const keys = (items: readonly { readonly key: string }[]): string[] => items.map(({ key }) => key);
const empty = { nowMs, layers: [], notes: [], named: new Set<string>(), uploads: [] };

describe("planCollection()", () => {
  test("notes what no manifest names, and removes it only a grace period after its note", () => {
    const layers = ["new", "fresh-note", "old-note", "named"].map((key) => layer(key, 500));
    const notes = [note("fresh-note", 100), note("old-note", 101)];
    const plan = planCollection({ ...empty, layers, notes, named: new Set(["named"]) }, patience);
    expect(keys(plan.note)).toEqual(["new"]);
    expect(keys(plan.remove)).toEqual(["old-note"]);
    expect(plan.forget).toEqual([]);
  });

  test("removes no layer that is younger than the grace period, whatever is noted", () => {
    const plan = planCollection({ ...empty, layers: [layer("x", 100)], notes: [note("x", 500)] }, patience);
    expect(plan.remove).toEqual([]);
  });

  test("forgets notes of what is named again, and of what is gone", () => {
    const facts = { ...empty, layers: [layer("named", 500)], notes: [note("named", 500), note("gone", 500)] };
    const plan = planCollection({ ...facts, named: new Set(["named"]) }, patience);
    expect(keys(plan.forget)).toEqual(["named.unused", "gone.unused"]);
    expect([plan.note, plan.remove]).toEqual([[], []]);
  });

  test("leaves alone what may be named by a manifest that does not tell", () => {
    const layers = [layer("older", 500), layer("at-once", 400), layer("later", 399)];
    const notes = [note("older", 200), note("at-once", 200), note("later", 200)];
    const plan = planCollection({ ...empty, layers, notes, spareUntilMs: nowMs - 400 }, patience);
    expect([keys(plan.remove), plan.note, plan.forget]).toEqual([["later"], [], []]);
  });

  test("ends uploads that take too long", () => {
    const uploads = [{ startedAtMs: nowMs - 1000 }, { startedAtMs: nowMs - 1001 }];
    expect(planCollection({ ...empty, uploads }, patience).abort).toEqual([uploads[1]]);
  });
});
