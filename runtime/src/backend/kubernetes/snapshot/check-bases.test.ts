import { describe, expect, it } from "vitest";
import type { ContainerSpec, SandboxSpec } from "#core/sandbox.ts";
import { checkBases } from "./check-bases.ts";

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const container = (image: string, rest: Partial<ContainerSpec> = {}): ContainerSpec => ({
  name: "main",
  image,
  env: {},
  ...rest,
});
const spec = (...containers: readonly ContainerSpec[]): SandboxSpec => ({ containers, startupTimeoutSeconds: 9 });
const pinned = `debian@${digest("a")}`;
const bases = new Map([
  ["pinned", { image: pinned, digest: digest("c") }],
  ["tagged", { image: "debian:12", digest: digest("a") }],
]);
const check =
  (...containers: readonly ContainerSpec[]) =>
  () =>
    checkBases(spec(...containers), (name) => bases.get(name));

describe("checkBases()", () => {
  it("refuses a reference whose digest is another than that of the snapshot's", () => {
    const other = `debian@${digest("b")}`;
    const wrong = check(container("debian:12"), container(other, { rootfsSnapshotName: "pinned" }));
    expect(wrong).toThrow(expect.objectContaining({ slug: "validation-failed" }));
    expect(wrong).toThrow(/"pinned".*aaaa.*bbbb.*rootfsSnapshotAllowOtherBase/);
    expect(wrong).toThrow(
      expect.objectContaining({
        options: expect.objectContaining({
          errors: [expect.objectContaining({ location: "body.podTemplate.containers[1].image", value: other })],
        }),
      }),
    );
    expect(check(container(other, { rootfsSnapshotName: "pinned", rootfsSnapshotAllowOtherBase: true }))).not.toThrow();
  });

  it.each([
    ["the same digest", container(pinned, { rootfsSnapshotName: "pinned" })],
    ["a tag, which may mean the same", container("debian:12", { rootfsSnapshotName: "pinned" })],
    ["a digest against a tag, which may be that of an index", container(pinned, { rootfsSnapshotName: "tagged" })],
    ["a snapshot that is not known", container(pinned, { rootfsSnapshotName: "elsewhere" })],
    ["no snapshot", container(pinned)],
  ])("lets pass %s", (_, one) => expect(check(one)).not.toThrow());
});
