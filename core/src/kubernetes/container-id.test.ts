import { describe, expect, it } from "vitest";
import { parseContainerId } from "./container-id.ts";

describe("parseContainerId()", () => {
  it("tells the engine from the id", () => {
    const id = "0f".repeat(32);
    expect(parseContainerId(`containerd://${id}`)).toEqual({ engine: "containerd", id });
    expect(parseContainerId(`cri-o://${id}`)).toEqual({ engine: "cri-o", id });
  });

  it.each([
    "",
    "abc",
    "containerd://",
    "://abc",
    "containerd://a/b",
    "containerd://../a",
    "containerd://-rf",
    "x://a b",
  ])("takes %j for no id", (text) => expect(parseContainerId(text)).toBeUndefined());
});
