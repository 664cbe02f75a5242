import { describe, expect, test } from "vitest";
import { image, imageReference } from "./image.ts";

describe("imageReference", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  test.each<[object, string, string]>([
    [{}, "", "atoll-gateway:1"],
    [{}, "registry.test/atoll", "registry.test/atoll/atoll-gateway:1"],
    [{}, "registry.test:5000/", "registry.test:5000/atoll-gateway:1"],
    [{ registry: "other.test" }, "registry.test", "other.test/atoll-gateway:1"],
    [{ repository: "gw", tag: "2" }, "registry.test", "registry.test/gw:2"],
    [{ tag: "2", digest }, "registry.test", `registry.test/atoll-gateway@${digest}`],
  ])("%j in %j is %s", (given, imageRegistry, reference) => {
    expect(imageReference(image("atoll-gateway").parse(given), { imageRegistry, imageTag: "1" })).toBe(reference);
  });
});
