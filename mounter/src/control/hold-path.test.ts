import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { restoreProbePath, stopHookPath } from "#core/kubernetes/names.ts";
import { parseHoldPath } from "./hold-path.ts";

describe("parseHoldPath()", () => {
  test("reads what the operator writes into pods", () => {
    const uids = fc.uuid();
    const namespaces = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
    fc.assert(
      fc.property(namespaces, uids, (namespace, sandboxUid) => {
        const owner = { namespace, sandboxUid };
        expect(parseHoldPath(restoreProbePath(owner))).toEqual({ kind: "restore", owner });
        expect(parseHoldPath(stopHookPath(owner))).toEqual({ kind: "stop", owner });
      }),
    );
  });

  const uid = "11111111-2222-3333-4444-555555555555";
  test.each([
    "",
    "/",
    "/v1/restores",
    `/v1/restores/team/${uid}/`,
    `/v1/restores/team/${uid}?x=1`,
    `/v1/restores/team/${uid.toUpperCase()}x`,
    `/v1/restores/te%61m/${uid}`,
    `/v1/restores/../${uid}`,
    `/v1/restores/Team/${uid}`,
    `/v1/restores/${"a".repeat(64)}/${uid}`,
    `/v1/constructor/team/${uid}`,
    `/v2/restores/team/${uid}`,
    `v1/restores/team/${uid}`,
    `//v1/restores/team/${uid}`,
  ])("takes nothing else: %s", (path) => {
    expect(parseHoldPath(path)).toBeUndefined();
  });
});
