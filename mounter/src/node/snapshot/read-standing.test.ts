import { describe, expect, test } from "vitest";
import { MAX_MANIFEST_BYTES } from "#core/snapshot/read-manifest.ts";
import { createModelObjects, createModelStore } from "../../../../test/mounter/model-store.ts";
import { StoreError } from "../../storage/store-error.ts";
import { restoreFault } from "../restore/restore-reason.ts";
import { findSnapshot } from "./find-snapshot.ts";
import { readStanding } from "./read-standing.ts";

const call = { signal: new AbortController().signal };
const place = { namespace: "team", name: "work" };
const KEY = "rootfssnapshots/team/work.json";

describe("readStanding()", () => {
  test("takes what is larger than any manifest for damage, as it stays so, and says how large it is", async () => {
    const store = createModelStore(createModelObjects());
    const sizeBytes = MAX_MANIFEST_BYTES + 1;
    const { version } = await store.put(KEY, new Uint8Array(sizeBytes), { kind: "always" }, call);
    expect(await readStanding(store, place, call)).toEqual({
      kind: "unreadable",
      fault: expect.stringContaining(`${sizeBytes} bytes`) as string,
      version,
    });
    const error: unknown = await findSnapshot(store, place, call).catch((fault: unknown) => fault);
    expect(restoreFault(error)).toEqual({
      isDamage: true,
      message: expect.stringMatching(/"work".* cannot be used: its manifest has \d+ bytes/) as string,
    });
  });

  test.each([
    ["makes way while it is looked at", "absent", { kind: "none" }],
    ["cannot be looked at", "unavailable", undefined],
  ] as const)("one that %s", async (_, kind, standing) => {
    const store = createModelStore(createModelObjects(), async (when, what) => {
      if (when === "before" && what.startsWith("stat ")) throw new StoreError(kind, "No.");
    });
    await store.put(KEY, new Uint8Array(MAX_MANIFEST_BYTES + 1), { kind: "always" }, call);
    const found = readStanding(store, place, call);
    if (standing === undefined) await expect(found).rejects.toMatchObject({ kind });
    else expect(await found).toEqual(standing);
  });

  test("does not call damage what the store refuses for another reason", async () => {
    const refusal = new StoreError("invalid", "The bucket has no such region.");
    const store = createModelStore(createModelObjects(), async (when, what) => {
      if (when === "before" && what.startsWith("get ")) throw refusal;
    });
    await store.put(KEY, new Uint8Array(1), { kind: "always" }, call);
    await expect(readStanding(store, place, call)).rejects.toBe(refusal);
  });
});
