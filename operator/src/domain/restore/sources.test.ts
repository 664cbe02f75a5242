import { expect, it } from "vitest";
import { sampleSandbox } from "../../../test/samples.ts";
import { restoreObstacle, restoreSources } from "./sources.ts";

const containers = [
  { name: "main", image: "a" },
  { name: "b", image: "b" },
  { name: "ro", image: "c", securityContext: { readOnlyRootFilesystem: true } },
];
const specOf = (...rootfsSnapshotSources: readonly { snapshotName: string; containerName?: string }[]) =>
  sampleSandbox({ podTemplate: { spec: { containers } }, rootfsSnapshotSources }).spec;
const source = (snapshotName: string, containerName?: string) => ({
  snapshotName,
  ...(containerName === undefined ? {} : { containerName }),
});

it("restoreSources() takes the first container where none is named", () => {
  expect(restoreSources(specOf(source("s")))).toEqual([
    { snapshotName: "s", containerName: "main", allowOtherBase: false },
  ]);
  expect(restoreSources(sampleSandbox().spec)).toEqual([]);
});

const means = { hasSnapshots: true, handler: "runsc" };

it.each<[string, ReturnType<typeof source>[], object, RegExp | undefined]>([
  ["nothing asked for", [], { hasSnapshots: false, handler: "runc" }, undefined],
  ["one", [source("s")], {}, undefined],
  ["two", [source("s", "main"), source("s", "b")], {}, undefined],
  ["a runtime class that is not known", [source("s")], { handler: undefined }, undefined],
  ["an installation without snapshots", [source("s")], { hasSnapshots: false }, /restores none/],
  ["another runtime", [source("s")], { handler: "runc" }, /handler "runc"/],
  [
    "a container that is not there",
    [source("s", "sandbox-sidecar")],
    {},
    /"sandbox-sidecar", which the sandbox does not have/,
  ],
  ["two for one container", [source("s"), source("t", "main")], {}, /"main" is to start from more than one/],
  ["a root that nobody writes", [source("s", "ro")], {}, /"ro" .* read-only/],
])("restoreObstacle() with %s", (_, sources, rest, expected) => {
  const obstacle = restoreObstacle(specOf(...sources), { ...means, ...rest });
  if (expected === undefined) expect(obstacle).toBeUndefined();
  else expect(obstacle).toMatch(expected);
});
