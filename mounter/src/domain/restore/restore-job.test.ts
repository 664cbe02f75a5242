import { describe, expect, test } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";
import { checkBase, checkSize } from "./restore-fault.ts";
import { restoreNeed, type WantedRestore } from "./restore-job.ts";

const UID = "11111111-2222-3333-4444-555555555555";
const SANDBOX: SandboxResource = {
  metadata: { namespace: "team", name: "box", uid: UID },
  spec: {
    startupTimeoutSeconds: 90,
    podTemplate: {
      spec: {
        containers: [
          { name: "main", image: "debian:13" },
          { name: "second", image: "alpine:3" },
        ],
      },
    },
    rootfsSnapshotSources: [{ snapshotName: "work" }],
  },
};
const limits = (memory: string, disk?: string) => ({
  resources: { limits: { memory, ...(disk === undefined ? {} : { "ephemeral-storage": disk }) } },
});
const POD: Pod = {
  metadata: {
    name: "box-pod",
    uid: "p1",
    ownerReferences: [{ apiVersion: "v1", kind: "Sandbox", name: "box", uid: UID }],
  },
  spec: {
    initContainers: [
      { name: "sandbox-sidecar", restartPolicy: "Always", ...limits("128Mi") },
      { name: "before", ...limits("8Gi") },
    ],
    containers: [
      { name: "main", image: "debian:13", ...limits("512Mi", "1Gi") },
      { name: "second", image: "alpine:3", ...limits("64Mi") },
    ],
  },
  status: { phase: "Pending" },
};
const withStatus = (...containerStatuses: ContainerStatus[]): Pod => ({
  ...POD,
  status: { phase: "Running", containerStatuses },
});

describe("restoreNeed()", () => {
  test("is the first container's by default, with its disk and the memory of all that run side by side", () => {
    expect(restoreNeed(SANDBOX, POD)).toEqual({
      kind: "needed",
      job: {
        namespace: "team",
        sandboxName: "box",
        sandboxUid: UID,
        podUid: "p1",
        memoryBytes: (128 + 512 + 64) * 2 ** 20,
        wanted: [
          {
            containerName: "main",
            snapshotName: "work",
            allowOtherBase: false,
            image: "debian:13",
            diskBytes: 2 ** 30,
          },
        ],
      },
    });
  });

  test("a sandbox in which one container has no limit has none", () => {
    const containers = POD.spec.containers.map(({ name, image = "" }) => ({ name, image }));
    const need = restoreNeed(SANDBOX, { ...POD, spec: { ...POD.spec, containers } });
    expect(need.kind === "needed" ? Object.keys(need.job) : []).not.toContain("memoryBytes");
  });

  test.each<[string, SandboxResource | undefined, Pod | undefined]>([
    ["no sandbox", undefined, POD],
    ["no pod", SANDBOX, undefined],
    [
      "another sandbox's pod",
      { ...SANDBOX, metadata: { ...SANDBOX.metadata, uid: "66666666-2222-3333-4444-555555555555" } },
      POD,
    ],
    [
      "a pod on its way out",
      SANDBOX,
      { ...POD, metadata: { ...POD.metadata, deletionTimestamp: "2026-11-22T10:00:00Z" } },
    ],
    ["a pod that has ended", SANDBOX, { ...POD, status: { phase: "Failed" } }],
    ["names that are no names", { ...SANDBOX, metadata: { ...SANDBOX.metadata, namespace: ".." } }, POD],
  ])("is none for %s", (_, sandbox, pod) => {
    expect(restoreNeed(sandbox, pod)).toEqual({ kind: "none" });
  });

  test.each<[string, ContainerStatus, string]>([
    ["waits", { name: "main", state: { waiting: {} } }, "needed"],
    ["runs", { name: "main", state: { running: {} } }, "over"],
    ["has ended", { name: "main", state: { terminated: { exitCode: 1 } } }, "over"],
    [
      "was started before",
      { name: "main", state: { waiting: {} }, lastState: { terminated: { exitCode: 1 } } },
      "over",
    ],
  ])("when the container %s it is %s", (_, status, kind) => {
    expect(restoreNeed(SANDBOX, withStatus(status)).kind).toBe(kind);
  });

  test("waits for each container that starts from a snapshot", () => {
    const rootfsSnapshotSources = [
      { snapshotName: "work", containerName: "main" },
      { snapshotName: "other", containerName: "second", allowOtherBase: true },
    ];
    const both = { ...SANDBOX, spec: { ...SANDBOX.spec, rootfsSnapshotSources } };
    const one = withStatus({ name: "main", state: { running: {} } });
    expect(restoreNeed(both, one)).toMatchObject({ kind: "needed", job: { wanted: [{}, { allowOtherBase: true }] } });
  });

  test("is over where nothing is restored", () => {
    const { rootfsSnapshotSources: _, ...spec } = SANDBOX.spec;
    expect(restoreNeed({ ...SANDBOX, spec }, POD)).toEqual({ kind: "over" });
  });
});

describe("checkBase() and checkSize()", () => {
  const pinned = (hex: string): string => `debian@sha256:${hex.repeat(64)}`;
  const wanted: WantedRestore = {
    containerName: "main",
    snapshotName: "work",
    allowOtherBase: false,
    image: pinned("a"),
  };

  test("another pinned image is refused with both in the sentence, unless that is allowed", () => {
    const manifest = { base: { image: pinned("b") } };
    expect(() => checkBase(wanted, manifest)).toThrow(new RegExp(`${pinned("b")}.*${pinned("a")}`));
    expect(() => checkBase({ ...wanted, allowOtherBase: true }, manifest)).not.toThrow();
    expect(() => checkBase(wanted, { base: { image: "debian:13" } })).not.toThrow();
    expect(() => checkBase(wanted, undefined)).not.toThrow();
  });

  test("what does not fit is refused with both amounts", () => {
    const sizes = { tarBytes: 1000, allTarBytes: 2000 };
    expect(() => checkSize({ ...wanted, diskBytes: 999 }, sizes)).toThrow(/1000.*999/);
    expect(() => checkSize({ ...wanted, diskBytes: 1000 }, sizes)).not.toThrow();
    const needed = 4400 + 64 * 2 ** 20;
    expect(() => checkSize(wanted, { ...sizes, memoryBytes: needed - 1 })).toThrow(`${needed}`);
    expect(() => checkSize(wanted, { ...sizes, memoryBytes: needed })).not.toThrow();
  });
});
