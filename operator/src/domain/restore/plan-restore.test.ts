import { describe, expect, it } from "vitest";
import type { SandboxResource, SandboxRootfsRestore, SandboxStatusResource } from "#api/crd/sandbox.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";
import { AGENT_CONTAINER } from "#core/kubernetes/names.ts";
import {
  CREATED_MS,
  exited,
  running,
  runningStatus,
  sampleSandbox,
  waiting,
  WITH_SNAPSHOTS,
} from "../../../test/samples.ts";
import { IMAGE_DIGEST, savablePod } from "../../../test/snapshot-samples.ts";
import type { Plan } from "../action.ts";
import type { ObservedSandbox } from "../sandbox/observed.ts";
import { plan } from "../sandbox/plan.ts";

const NOW = CREATED_MS + 5000;
const STARTUP_MS = CREATED_MS + 91_000;
const OTHER_DIGEST = `sha256:${"cd".repeat(32)}`;

function sandboxOf(
  restore?: Partial<SandboxRootfsRestore>,
  rest: { allowOtherBase?: boolean; status?: SandboxStatusResource } = {},
) {
  const { allowOtherBase = false, status = {} } = rest;
  const said: SandboxRootfsRestore = { containerName: "main", snapshotName: "s", phase: "Waiting", ...restore };
  return sampleSandbox(
    { rootfsSnapshotSources: [{ snapshotName: "s", allowOtherBase }] },
    { status: { ...status, ...(restore === undefined ? {} : { rootfsRestores: [said] }) } },
  );
}

/** As kubelet shows the shape in which the agent holds the others back. */
function podOf(agent: Partial<ContainerStatus>, ...own: readonly ContainerStatus[]): Pod {
  const sidecar = { ...running(AGENT_CONTAINER), ...agent };
  const status = { ...runningStatus(...own), containerStatuses: own, initContainerStatuses: [sidecar] };
  return { ...savablePod(), status };
}

const held = podOf({ ready: false }, waiting("main", "PodInitializing"));
const up = podOf({}, { ...running("main"), imageID: `registry/img@${IMAGE_DIGEST}` });
const base = { image: "registry/img:1", digest: IMAGE_DIGEST };

const planOf = (
  sandbox: SandboxResource,
  pod: Pod | undefined,
  nowMs = NOW,
  rest: Partial<ObservedSandbox> = {},
): Plan =>
  plan(
    { sandbox, ...(pod === undefined ? {} : { pod }), agentKey: "k", handler: "runsc", ...rest },
    WITH_SNAPSHOTS,
    nowMs,
  );

function said({ actions }: Plan): Record<string, string> {
  const write = actions.find(({ kind }) => kind === "patchStatus");
  const conditions = write?.kind === "patchStatus" ? ((write.object as SandboxResource).status?.conditions ?? []) : [];
  return Object.fromEntries(
    conditions.map(({ type, status, reason, message }) => [type, `${status} ${reason} ${message}`]),
  );
}

describe("a sandbox that starts from a snapshot", () => {
  it("gets a pod whose agent holds the others back, and no other", () => {
    const [create] = planOf(sandboxOf(), undefined).actions;
    const pod = create?.kind === "create" ? (create.object as Pod) : undefined;
    expect(pod?.spec.containers.map(({ name }) => name)).toEqual(["main"]);
    expect(pod?.spec.initContainers).toMatchObject([
      {
        name: AGENT_CONTAINER,
        restartPolicy: "Always",
        startupProbe: {
          httpGet: { host: "127.0.0.1", port: 10_033, path: "/v1/restores/ns/uid-a" },
          periodSeconds: 1,
          timeoutSeconds: 90,
          failureThreshold: expect.any(Number),
        },
      },
    ]);
    expect(pod?.metadata.annotations).toMatchObject({
      "dev.gvisor.tar.rootfs.upper.main": "/var/lib/atoll/restores/ns/uid-a/main.tar",
    });
    const unknown = sampleSandbox({ rootfsSnapshotSources: [{ snapshotName: "s", containerName: "x" }] });
    expect(said(planOf(unknown, undefined))["Succeeded"]).toMatch(/^False RootfsRestoreConfigurationError/);
    expect(said(planOf(sandboxOf(), undefined, NOW, { handler: "runc" }))["Succeeded"]).toMatch(/"runc"/);
  });

  it("is pending while it is held, and says once what it waits for that is not there", () => {
    for (const restore of [undefined, { phase: "Fetching" } as const])
      expect(planOf(sandboxOf(restore), held)).toEqual({ actions: [], nextDeadlineMs: STARTUP_MS });
    const first = planOf(sandboxOf({ phase: "Waiting" }), held);
    expect(said(first)["Ready"]).toBe('Unknown PodPending The sandbox waits for the snapshot "s".');
    const write = first.actions[0];
    const status = write?.kind === "patchStatus" ? ((write.object as SandboxResource).status ?? {}) : {};
    expect(planOf(sandboxOf({ phase: "Fetching", bytesDone: 1 }, { status }), held).actions).toEqual([]);
  });

  it.each<[string, Partial<SandboxRootfsRestore> | undefined, RegExp]>([
    ["never came", { phase: "Waiting" }, /waited for the snapshot "s", which never came\.$/],
    [
      "was kept away",
      { phase: "Waiting", message: "Cannot read s: refused." },
      /"s", which never came: Cannot read s: refused\.$/,
    ],
    ["came in part", { phase: "Fetching", bytesDone: 3, bytesTotal: 9 }, /"s", of which 3 of 9 bytes had come\.$/],
    ["came to an unknown part", { phase: "Fetching", bytesDone: 3 }, /"s", of which 3 bytes had come\.$/],
    ["nobody speaks of", undefined, /"s", of which its node has said nothing\.$/],
    ["is another's", { phase: "Ready", snapshotName: "t" }, /"s", of which its node has said nothing\.$/],
  ])("fails at its startup timeout when the snapshot %s", (_, restore, message) => {
    const end = said(planOf(sandboxOf(restore), held, STARTUP_MS));
    expect(end["Succeeded"]).toMatch(/^False StartupTimeoutExceeded .*90 s/);
    expect(end["Succeeded"]).toMatch(message);
  });

  it("fails with the mounter's sentence when the snapshot cannot be restored", () => {
    const end = said(planOf(sandboxOf({ phase: "Failed", message: "It is damaged." }), held));
    expect(end["Succeeded"]).toBe("False RootfsRestoreConfigurationError It is damaged.");
    expect(said(planOf(sandboxOf({ phase: "Failed" }), held))["Succeeded"]).toMatch(/"s" cannot be restored\.$/);
  });

  it("says of a damaged snapshot more than the contract's reason can", () => {
    const damaged = sandboxOf({ phase: "Failed", reason: "SnapshotDamaged", message: "It is damaged." });
    const end = said(planOf(damaged, held));
    expect(end["Succeeded"]).toBe("False RootfsRestoreConfigurationError It is damaged.");
    expect(end["Cause"]).toBe("True SnapshotDamaged It is damaged.");
  });

  it.each<[string, Partial<SandboxRootfsRestore>, boolean, string]>([
    ["onto its image", { phase: "Ready", base }, false, "True PodRunning"],
    ["of Isola's, whose image nobody knows", { phase: "Ready" }, false, "True PodRunning"],
    [
      "onto another image when that is wanted",
      { phase: "Ready", base: { ...base, digest: OTHER_DIGEST } },
      true,
      "True PodRunning",
    ],
    [
      "onto another image",
      { phase: "Ready", base: { ...base, digest: OTHER_DIGEST } },
      false,
      "False RootfsRestoreConfigurationError",
    ],
    ["that its node has not called ready", { phase: "Waiting", base }, false, "Unknown PodPending"],
  ])("with a snapshot %s", (_, restore, allowOtherBase, ready) => {
    expect(said(planOf(sandboxOf(restore, { allowOtherBase }), up))["Ready"]).toMatch(new RegExp(`^${ready}`));
  });

  it("names both images when they differ", () => {
    const end = said(planOf(sandboxOf({ phase: "Ready", base: { ...base, digest: OTHER_DIGEST } }), up))["Succeeded"];
    expect(end).toContain(IMAGE_DIGEST);
    expect(end).toContain(OTHER_DIGEST);
  });

  it("asks no more for its snapshots once it has run", () => {
    const status = {
      conditions: [
        {
          type: "Ready",
          status: "True",
          reason: "PodRunning",
          message: "",
          lastTransitionTime: "2026-01-01T00:00:03Z",
        },
      ],
    } as const;
    const end = said(planOf(sandboxOf({ phase: "Failed", message: "No." }, { status }), up));
    expect(end["Succeeded"]).toBeUndefined();
  });

  it("ends when its containers do, though the agent goes on", () => {
    const pod = podOf({}, exited("main", 3));
    const end = planOf(sandboxOf({ phase: "Ready" }), pod);
    expect(said(end)["Succeeded"]).toMatch(/^False PodFailed .* code 3/);
    expect(end.actions.at(-1)).toMatchObject({ kind: "remove", resource: { plural: "pods" } });
  });

  it("is lost when kubelet had to start its agent anew, but not before it was used", () => {
    const lastState = { terminated: { exitCode: 137 } };
    const again = podOf({ lastState }, running("main"));
    expect(said(planOf(sandboxOf({ phase: "Ready" }), again))["Cause"]).toMatch(/^True AgentLost .* code 137/);
    const early = podOf({ lastState, ready: false }, waiting("main", "PodInitializing"));
    expect(said(planOf(sandboxOf({ phase: "Fetching" }), early))["Succeeded"]).toBeUndefined();
    const killed = podOf({ lastState: { terminated: { exitCode: 128, reason: "OOMKilled" } } }, running("main"));
    expect(said(planOf(sandboxOf({ phase: "Ready" }), killed))["Cause"]).toMatch(/^True OutOfMemory/);
  });

  it.each([
    "opening rootfs upper tar file: open /var/lib/x.tar: no such file or directory",
    "rootfs tar annotation is disabled, use --allow-rootfs-tar-annotation to enable it",
    "failed to read tar header: unexpected EOF",
  ])("fails for its archive, and not for its command, when gVisor says %j", (message) => {
    const pod = podOf({}, exited("main", 128, { reason: "StartError", message }));
    expect(said(planOf(sandboxOf({ phase: "Ready" }), pod))["Succeeded"]).toMatch(/RootfsRestoreConfigurationError/);
  });
});
