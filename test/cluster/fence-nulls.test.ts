import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { RUNTIME_CLASS, RUNTIME_HANDLER } from "#core/kubernetes/names.ts";
import { RUNTIME_CLASSES, SANDBOXES } from "#core/kubernetes/resources.ts";
import { startControlPlane, type ControlPlane } from "../harness/control-plane.ts";
import { call, findCluster } from "./cluster.ts";
import { container, outcome, sandboxDraft, setFenceStage, type Draft, type FenceStage } from "./fence-stage.ts";

let plane: ControlPlane;
let stage: FenceStage;
beforeAll(async () => {
  // Nobody here makes the service accounts that pods need.
  plane = await startControlPlane({ apiServer: ["--disable-admission-plugins=ServiceAccount"] });
  vi.stubEnv("KUBECONFIG", plane.kubeconfig);
  const admin = (await findCluster()).client();
  await admin.create(RUNTIME_CLASSES, { metadata: { name: RUNTIME_CLASS }, handler: RUNTIME_HANDLER }, call());
  stage = await setFenceStage();
}, 120_000);
afterAll(async () => {
  vi.unstubAllEnvs();
  await plane.dispose();
});

const sandbox = (spec: Draft): Promise<string> =>
  outcome(stage.mallory.create(SANDBOXES, sandboxDraft(stage.namespace, spec), call(), { dryRun: true }));
const one = (members: Draft): Draft => ({ containers: [container(members)] });
const nothingIn = (...members: string[]): Draft => Object.fromEntries(members.map((member) => [member, null]));

const SECURITY = ["seccompProfile", "appArmorProfile", "seLinuxOptions", "windowsOptions"];

describe("a template in which nothing is written where something could be", () => {
  it.each<[string, Draft]>([
    [
      "the pod",
      nothingIn(
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "hostUsers",
        "nodeName",
        "priorityClassName",
        "securityContext",
        "volumes",
        "initContainers",
        "ephemeralContainers",
        "resourceClaims",
        "nodeSelector",
      ),
    ],
    ["the pod's security", { securityContext: nothingIn("sysctls", ...SECURITY) }],
    ["a profile", { securityContext: { seccompProfile: nothingIn("type"), seLinuxOptions: nothingIn("user") } }],
    [
      "a container",
      one(nothingIn("securityContext", "env", "ports", "volumeDevices", "lifecycle", "livenessProbe", "resources")),
    ],
    [
      "a container's security",
      one({ securityContext: nothingIn("capabilities", "privileged", "procMount", ...SECURITY) }),
    ],
    ["capabilities", one({ securityContext: { capabilities: nothingIn("add", "drop") } })],
    ["a port", one({ ports: [{ containerPort: 80, ...nothingIn("hostPort") }] })],
    [
      "a probe",
      one({ livenessProbe: { httpGet: { port: 80, ...nothingIn("host") } }, lifecycle: nothingIn("preStop") }),
    ],
    ["an init container", { initContainers: [container({ name: "init", ...nothingIn("securityContext") })] }],
    ["a volume", { volumes: [{ name: "v", ...nothingIn("emptyDir") }] }],
    ["a projection", { volumes: [{ name: "v", projected: nothingIn("sources") }] }],
    [
      "a source",
      { volumes: [{ name: "v", projected: { sources: [{ downwardAPI: {}, ...nothingIn("serviceAccountToken") }] } }] },
    ],
  ])("is taken: %s", async (_, spec) => expect(await sandbox(spec)).toBe("accepted"));

  it.each<[string, Draft, string]>([
    ["a pod", { ...nothingIn("securityContext", "initContainers"), hostNetwork: true }, "hostNetwork is not allowed"],
    [
      "a container",
      one({ securityContext: { ...nothingIn("capabilities"), privileged: true } }),
      "user: privileged is not allowed",
    ],
    [
      "another container",
      {
        containers: [
          container({ ...nothingIn("securityContext") }),
          container({ name: "b", securityContext: { privileged: true } }),
        ],
      },
      "b: privileged is not allowed",
    ],
    [
      "a source",
      {
        volumes: [
          { name: "v", projected: { sources: [{ ...nothingIn("secret"), serviceAccountToken: { path: "t" } }] } },
        ],
      },
      "v: a volume with a service account's token",
    ],
  ])("hides nothing beside it in %s", async (_, spec, message) => expect(await sandbox(spec)).toContain(message));
});
