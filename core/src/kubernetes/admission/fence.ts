import { SANDBOX_GROUP } from "#api/crd/group.ts";
import type {
  AdmissionPolicy,
  AdmissionPolicyBinding,
  AdmissionPolicySpec,
  AdmissionRule,
  AdmissionValidation,
} from "../cluster-objects.ts";
import { AGENT_CONTAINER, LABEL } from "../names.ts";
import { apiVersionOf, VALIDATING_ADMISSION_POLICIES } from "../resources.ts";
import { celString, orAbsent, refuse } from "./cel-text.ts";
import { containerRules } from "./container-rules.ts";
import type { FenceConfig, NetworkTrialConfig } from "./fence-config.ts";
import { identityRules } from "./identity-rules.ts";
import { mounterRules } from "./mounter-rules.ts";
import { nodeRules } from "./node-rules.ts";
import { podRules } from "./pod-rules.ts";
import { trialPodRules, trialPolicyRules } from "./trial-rules.ts";

/** One policy and what puts it in force. */
export interface Fence {
  readonly policy: AdmissionPolicy;
  readonly binding: AdmissionPolicyBinding;
}

type Variables = NonNullable<AdmissionPolicySpec["variables"]>;

const API_VERSION = apiVersionOf(VALIDATING_ADMISSION_POLICIES);

/**
 * The fence around sandbox namespaces. The agent of a sandbox may trace processes, which no pod
 * security level but `privileged` allows, so these policies are what keeps a pod from its node:
 * what nobody gets, what only the operator may say, and what a Sandbox may not ask for.
 */
export function fences(config: FenceConfig): readonly Fence[] {
  const { pods, identity, templates } = fenceNames(config.prefix);
  const { sandboxNamespaces } = config;
  return [
    fence(pods, sandboxNamespaces, podSpec(config)),
    fence(identity, sandboxNamespaces, identitySpec(config)),
    fence(templates, sandboxNamespaces, templateSpec(config)),
    ...(config.networkTrial === undefined ? [] : trialFences(config, config.networkTrial)),
    ...(config.installerUser === undefined ? [] : [nodeFence(config, config.installerUser)]),
    ...(config.mounterUser === undefined ? [] : [mounterFence(config, config.mounterUser)]),
  ];
}

/** Names of the policies and of their bindings. */
export function fenceNames(prefix = "atoll") {
  return {
    pods: `${prefix}-sandbox-pods`,
    identity: `${prefix}-sandbox-identity`,
    templates: `${prefix}-sandbox-templates`,
  } as const;
}

/** The same for what holds the operator in the system namespace to its trial of network policies. */
export function trialFenceNames(prefix = "atoll") {
  return { pods: `${prefix}-network-check-pods`, policies: `${prefix}-network-check-policies` } as const;
}

/** The name of what holds the installer to its own node. */
export function nodeFenceName(prefix = "atoll"): string {
  return `${prefix}-installer-nodes`;
}

/** The name of what holds the mounters to what they tell. */
export function mounterFenceName(prefix = "atoll"): string {
  return `${prefix}-mounter-objects`;
}

function mounterFence({ prefix }: FenceConfig, mounterUser: string): Fence {
  return fence(mounterFenceName(prefix), undefined, {
    failurePolicy: "Fail",
    matchConstraints: {
      resourceRules: [
        writes(SANDBOX_GROUP, ["rootfssnapshots", "rootfssnapshots/status", "sandboxes", "sandboxes/status"]),
        writes("coordination.k8s.io", ["leases"]),
      ],
    },
    matchConditions: [{ name: "by-a-mounter", expression: `request.userInfo.username == ${celString(mounterUser)}` }],
    validations: forbidden(mounterRules()),
  });
}

/** Its account may patch nodes, and that right knows neither its own node nor single labels. */
function nodeFence({ prefix }: FenceConfig, installerUser: string): Fence {
  return fence(nodeFenceName(prefix), undefined, {
    failurePolicy: "Fail",
    matchConstraints: { resourceRules: [writes("", ["nodes", "nodes/status"])] },
    matchConditions: [
      { name: "by-the-installer", expression: `request.userInfo.username == ${celString(installerUser)}` },
    ],
    validations: forbidden(nodeRules()),
  });
}

/** Its account may create pods in the system namespace, and a right to create knows no names. */
function trialFences(config: FenceConfig, trial: NetworkTrialConfig): readonly Fence[] {
  const { pods, policies } = trialFenceNames(config.prefix);
  const common = {
    failurePolicy: "Fail",
    matchConditions: [{ name: "by-the-operator", expression: operatorVariable(config).expression }],
  } as const;
  return [
    fence(pods, [trial.namespace], {
      ...common,
      matchConstraints: { resourceRules: [writes("", ["pods", "pods/ephemeralcontainers", "pods/resize"])] },
      variables: [
        operatorVariable(config),
        { name: "spec", expression: "object.spec" },
        { name: "annotations", expression: "object.metadata.?annotations.orValue({})" },
        {
          name: "containers",
          expression:
            "object.spec.containers + object.spec.?initContainers.orValue([]) + object.spec.?ephemeralContainers.orValue([])",
        },
      ],
      validations: forbidden([...trialPodRules(trial), ...podRules("a trial"), ...containerRules(config)]),
    }),
    fence(policies, [trial.namespace], {
      ...common,
      matchConstraints: { resourceRules: [writes("networking.k8s.io", ["networkpolicies"])] },
      validations: forbidden(trialPolicyRules()),
    }),
  ];
}

/** The shape of pods. What is there already may be updated otherwise: a pod must always be able to end. */
function podSpec(config: FenceConfig): AdmissionPolicySpec {
  return {
    failurePolicy: "Fail",
    matchConstraints: { resourceRules: [writes("", ["pods", "pods/ephemeralcontainers", "pods/resize"])] },
    matchConditions: [
      { name: "new-or-changed", expression: `request.operation == "CREATE" || object.spec != oldObject.spec` },
    ],
    variables: [
      operatorVariable(config),
      { name: "spec", expression: "object.spec" },
      {
        name: "annotations",
        expression: `request.operation == "CREATE" ? object.metadata.?annotations.orValue({}) : {}`,
      },
      // Of a pod that exists only ephemeral containers can be new.
      {
        name: "containers",
        expression: `(request.operation == "CREATE" ? object.spec.containers + object.spec.?initContainers.orValue([]) : []) + object.spec.?ephemeralContainers.orValue([])`,
      },
    ],
    validations: forbidden([
      refuse(
        `request.operation == "CREATE" && object.spec.?nodeName.orValue("") != ""`,
        "nodeName is not allowed: the scheduler chooses the node",
      ),
      refuse(
        `object.spec.?runtimeClassName.orValue("") != ${celString(config.runtimeClass)}`,
        `runtimeClassName must be ${config.runtimeClass}: every pod of this namespace runs on a kernel of its own`,
      ),
      refuse(
        "object.spec.?automountServiceAccountToken.orValue(true)",
        "automountServiceAccountToken must be false: a sandbox has no identity in the cluster",
      ),
      ...podRules(),
      ...containerRules(config),
    ]),
  };
}

/** Labels and annotations: the status of a pod carries them too. */
function identitySpec(config: FenceConfig): AdmissionPolicySpec {
  const before = (member: string): string =>
    `request.operation == "CREATE" ? {} : oldObject.metadata.?${member}.orValue({})`;
  const images = (object: string): string =>
    `(${object}.spec.containers + ${object}.spec.?initContainers.orValue([])).map(it, it.?image.orValue(""))`;
  return {
    failurePolicy: "Fail",
    matchConstraints: {
      resourceRules: [writes("", ["pods", "pods/status", "pods/ephemeralcontainers", "pods/resize"])],
    },
    variables: [
      operatorVariable(config),
      { name: "labels", expression: "object.metadata.?labels.orValue({})" },
      { name: "oldLabels", expression: before("labels") },
      { name: "annotations", expression: "object.metadata.?annotations.orValue({})" },
      { name: "oldAnnotations", expression: before("annotations") },
      { name: "images", expression: images("object") },
      { name: "oldImages", expression: `request.operation == "CREATE" ? [] : ${images("oldObject")}` },
    ],
    validations: forbidden(identityRules(config)),
  };
}

/** The same for templates, so that the one who writes a Sandbox hears of it, and not the operator. */
function templateSpec(config: FenceConfig): AdmissionPolicySpec {
  const inits = orAbsent("variables.spec.?initContainers", "[]");
  const variables: Variables = [
    { name: "operator", expression: "false" },
    { name: "spec", expression: "object.spec.podTemplate.spec" },
    { name: "annotations", expression: orAbsent("object.spec.podTemplate.?metadata.?annotations", "{}") },
    { name: "containers", expression: `variables.spec.containers + ${inits}` },
  ];
  return {
    failurePolicy: "Fail",
    matchConstraints: { resourceRules: [writes(SANDBOX_GROUP, ["sandboxes"])] },
    matchConditions: [
      {
        name: "new-or-changed",
        expression: `request.operation == "CREATE" || object.spec.podTemplate != oldObject.spec.podTemplate`,
      },
    ],
    variables,
    validations: [
      ...podRules(),
      ...containerRules(config),
      refuse(
        `${orAbsent("variables.spec.?nodeName", '""')} != ""`,
        "nodeName is not allowed: the scheduler chooses the node",
      ),
      refuse(
        `${inits}.exists(it, it.name == ${celString(AGENT_CONTAINER)})`,
        `the name ${AGENT_CONTAINER} belongs to the sandbox's agent: choose another`,
      ),
      refuse(
        `${orAbsent("variables.spec.?ephemeralContainers", "[]")}.size() > 0`,
        "ephemeralContainers are not allowed",
      ),
    ].map((validation) => ({ ...validation, reason: "Invalid" as const })),
  };
}

function operatorVariable({ operatorUser }: FenceConfig): Variables[number] {
  return { name: "operator", expression: `request.userInfo.username == ${celString(operatorUser)}` };
}

function writes(group: string, resources: readonly string[]): AdmissionRule {
  return { apiGroups: [group], apiVersions: ["*"], operations: ["CREATE", "UPDATE"], resources };
}

function forbidden(validations: readonly AdmissionValidation[]): readonly AdmissionValidation[] {
  return validations.map((validation) => ({ ...validation, reason: "Forbidden" }));
}

/** `namespaces` undefined = in the whole cluster. */
function fence(name: string, namespaces: readonly string[] | undefined, spec: AdmissionPolicySpec): Fence {
  const metadata = { name, labels: { [LABEL.partOf]: "atoll" } };
  return {
    policy: { apiVersion: API_VERSION, kind: VALIDATING_ADMISSION_POLICIES.kind, metadata, spec },
    binding: {
      apiVersion: API_VERSION,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata,
      spec: {
        policyName: name,
        validationActions: ["Deny"],
        ...(namespaces === undefined ? {} : { matchResources: { namespaceSelector: nameSelector(namespaces) } }),
      },
    },
  };
}

function nameSelector(values: readonly string[]) {
  return { matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In" as const, values }] };
}
