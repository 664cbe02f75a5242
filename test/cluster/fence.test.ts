import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { PODS, SANDBOXES, VALIDATING_ADMISSION_POLICIES } from "#core/kubernetes/resources.ts";
import { call } from "./cluster.ts";
import { ATTACKS, ENGINE_ANNOTATIONS } from "./fence-attacks.ts";
import {
  container,
  outcome,
  podDraft,
  sandboxDraft,
  setFenceStage,
  type Draft,
  type FenceStage,
} from "./fence-stage.ts";

const DRY = { dryRun: true };

let stage: FenceStage;
beforeAll(async () => {
  stage = await setFenceStage();
}, 60_000);
afterAll(() => stage.clear());

const pod = (client: KubeClient, spec: Draft, metadata?: Draft, namespace = stage.namespace) =>
  outcome(client.create(PODS, podDraft(namespace, spec, metadata), call(), DRY));
const sandbox = (spec: Draft, metadata?: Draft, namespace = stage.namespace) =>
  outcome(stage.mallory.create(SANDBOXES, sandboxDraft(namespace, spec, metadata), call(), DRY));

describe("nobody, the operator included, gets a pod with", () => {
  it.each(ATTACKS)("%s", async (_, spec, message) => {
    for (const client of [stage.mallory, stage.operator, stage.admin]) {
      const answer = await pod(client, spec);
      expect(answer).toMatch(/^403 pods "x\w+" is forbidden: ValidatingAdmissionPolicy/);
      expect(answer).toContain(`denied request: ${message}`);
    }
  });

  it.each(ENGINE_ANNOTATIONS)("the annotation %s", async (key, value) => {
    for (const client of [stage.mallory, stage.operator]) {
      const answer = await pod(client, {}, { annotations: { [key]: value } });
      expect(answer).toContain(
        "denied request: annotations for network plug-ins and container engines are not allowed",
      );
    }
  });

  it("AppArmor turned off by an annotation", async () => {
    const annotations = { "container.apparmor.security.beta.kubernetes.io/user": "unconfined" };
    expect(await pod(stage.operator, {}, { annotations })).toContain("the AppArmor profile unconfined is not allowed");
  });

  it("another runtime class", async () => {
    const message = "denied request: runtimeClassName must be gvisor";
    expect(await pod(stage.operator, { runtimeClassName: stage.bareRuntime })).toContain(message);
    expect(await pod(stage.operator, { runtimeClassName: undefined })).toContain(message);
  });

  it.each([true, undefined])("a service account's token: %s", async (automountServiceAccountToken) => {
    const answer = await pod(stage.operator, { automountServiceAccountToken });
    expect(answer).toContain("denied request: automountServiceAccountToken must be false");
  });

  it("a capability that the operator gives to its own", async () => {
    for (const name of ["MAC_ADMIN", "WAKE_ALARM", "SYS_PTRACE"]) {
      const containers = [container({ name: "sandbox-sidecar", securityContext: { capabilities: { add: [name] } } })];
      expect(await pod(stage.mallory, { containers })).toContain(
        "denied request: sandbox-sidecar: capabilities may be added of these only: ",
      );
    }
  });
});

describe("nobody gets a Sandbox with a template that asks for", () => {
  it.each(ATTACKS)("%s", async (_, spec, message) => {
    const answer = await sandbox(spec);
    expect(answer).toMatch(/^422 sandboxes\.sandbox\.isola\.run "x\w+" is forbidden: ValidatingAdmissionPolicy/);
    expect(answer).toContain(`denied request: ${message}`);
  });

  it.each(ENGINE_ANNOTATIONS)("the annotation %s", async (key, value) => {
    const answer = await sandbox({}, { annotations: { [key]: value } });
    expect(answer).toContain("denied request: annotations for network plug-ins and container engines are not allowed");
  });

  it("marks of the operator's", async () => {
    const containers = [container({ securityContext: { capabilities: { add: ["MAC_ADMIN"] } } })];
    expect(await sandbox({ containers })).toContain("user: capabilities may be added of these only");
  });

  it("an init container of the agent's name", async () =>
    expect(await sandbox({ initContainers: [container({ name: "sandbox-sidecar" })] })).toContain(
      "the name sandbox-sidecar belongs to the sandbox's agent",
    ));

  it("ephemeral containers", async () =>
    expect(await sandbox({ ephemeralContainers: [container({})] })).toContain("ephemeralContainers are not allowed"));

  it("something of another type than it has to be", async () =>
    expect(await sandbox({ hostNetwork: "true" })).toMatch(/^422 .*ValidatingAdmissionPolicy.*no such overload/));

  it("the same later on", async () => {
    const { metadata } = await stage.mallory.create(SANDBOXES, sandboxDraft(stage.namespace, {}), call());
    const patch = { spec: { podTemplate: { spec: { hostPID: true } } } };
    expect(await outcome(stage.mallory.patch(SANDBOXES, metadata, patch, call(), DRY))).toContain(
      "hostPID is not allowed",
    );
  });
});

describe("the fence lets pass", () => {
  const HARMLESS: readonly (readonly [string, Draft])[] = [
    ["an ordinary pod", {}],
    [
      "volumes of its own",
      {
        volumes: [
          { name: "a", emptyDir: {} },
          { name: "b", configMap: { name: "c" } },
          { name: "d", secret: { secretName: "s" } },
          { name: "e", projected: { sources: [{ configMap: { name: "c" } }, { downwardAPI: {} }] } },
          { name: "f", persistentVolumeClaim: { claimName: "p" } },
          { name: "g", downwardAPI: {} },
        ],
      },
    ],
    [
      "settings that only restrict",
      {
        hostUsers: false,
        hostNetwork: false,
        securityContext: {
          runAsUser: 1000,
          seccompProfile: { type: "RuntimeDefault" },
          seLinuxOptions: { level: "s0:c1" },
        },
        containers: [
          container({
            securityContext: {
              privileged: false,
              procMount: "Default",
              capabilities: { drop: ["ALL"], add: ["CHOWN"] },
            },
            ports: [{ containerPort: 80 }],
            livenessProbe: { httpGet: { port: 80 } },
            resources: { limits: { cpu: "1", memory: "1Gi" } },
          }),
        ],
      },
    ],
    ["a priority class of the user's name", { priorityClassName: "" }],
  ];
  it.each(HARMLESS)("%s", async (_, spec) => {
    expect(await pod(stage.mallory, spec)).toBe("accepted");
    expect(await sandbox(spec)).toBe("accepted");
  });

  it("what the operator overrides anyway in a template", async () => {
    const spec = { runtimeClassName: "runc", automountServiceAccountToken: true, restartPolicy: "Always" };
    const metadata = { labels: { "isola.run/sandbox": "no" }, annotations: { "dev.gvisor.flag.debug": "true" } };
    expect(await sandbox(spec, metadata)).toBe("accepted");
  });

  it("anything in other namespaces", async () => {
    const attack = { hostNetwork: true, runtimeClassName: undefined };
    const metadata = { labels: { "isola.run/sandbox": "true" } };
    expect(await pod(stage.mallory, attack, metadata, stage.outside)).toBe("accepted");
    expect(await sandbox(attack, {}, stage.outside)).toBe("accepted");
  });

  it("changes of what was there before it, but none for the worse", async () => {
    const { mallory, oldPod, oldSandbox } = stage;
    const label = { metadata: { labels: { team: "b" }, finalizers: null } };
    expect(await outcome(mallory.patch(PODS, oldPod.metadata, label, call()))).toBe("accepted");
    expect(await outcome(mallory.patch(SANDBOXES, oldSandbox.metadata, label, call()))).toBe("accepted");
    const worse = { spec: { podTemplate: { spec: { hostPID: true } } } };
    expect(await outcome(mallory.patch(SANDBOXES, oldSandbox.metadata, worse, call()))).toContain("is not allowed");
    expect(await outcome(mallory.remove(SANDBOXES, oldSandbox.metadata, call()))).toBe("accepted");
    expect(await outcome(mallory.remove(PODS, oldPod.metadata, call()))).toBe("accepted");
  });
});

it("the API server finds nothing to warn of in the fence", async () => {
  for (const name of stage.policies) {
    const warnings = await expect
      .poll(async () => (await stage.admin.get(VALIDATING_ADMISSION_POLICIES, { name }, call())).status, {
        timeout: 15_000,
      })
      .toMatchObject({ observedGeneration: 1 })
      .then(async () => (await stage.admin.get(VALIDATING_ADMISSION_POLICIES, { name }, call())).status?.typeChecking);
    expect(warnings?.expressionWarnings ?? []).toEqual([]);
  }
});
