import { describe, expect, it } from "vitest";
import { ANNOTATION } from "./names.ts";
import { isSecondPod, usedPodUid } from "./used-pod.ts";

const UID = "0a1b2c3d-0000-4000-8000-00000000000f";
const noted = (uid: string) => ({ metadata: { name: "a", annotations: { [ANNOTATION.usedPod]: uid } } });

describe("usedPodUid()", () => {
  it("reads a uid", () => expect(usedPodUid(noted(UID))).toBe(UID));

  it.each(["", "true", UID.toUpperCase(), `${UID} `, `${UID}\n`, UID.slice(1), `x${UID}`])(
    "takes %j for nothing",
    (text) => expect(usedPodUid(noted(text))).toBeUndefined(),
  );
});

describe("isSecondPod()", () => {
  it("says so of every pod but the one that is noted, and of none where none is", () => {
    const pod = (uid: string) => ({ metadata: { name: "a-pod", uid } });
    expect(isSecondPod(noted(UID), pod(UID))).toBe(false);
    expect(isSecondPod(noted(UID), pod("b"))).toBe(true);
    expect(isSecondPod(noted("none"), pod("b"))).toBe(false);
  });
});
