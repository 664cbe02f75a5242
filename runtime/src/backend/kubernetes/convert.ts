import type { SandboxResource, SandboxSpecResource } from "#api/crd/sandbox.ts";
import { Quantity } from "#api/scalars.ts";
import { ANNOTATION, SANDBOX_FINALIZER } from "#core/kubernetes/names.ts";
import type { Container, EnvVar } from "#core/kubernetes/pod.ts";
import { formatQuantity, parseQuantity } from "#core/quantity.ts";
import type { Amounts, ContainerSpec, SandboxSpec } from "#core/sandbox.ts";
import type { CreateSandbox } from "#runtime/backend/port.ts";
import { toLiteralText, toTemplateText } from "./literal-text.ts";

type SnapshotSource = NonNullable<SandboxSpecResource["rootfsSnapshotSources"]>[number];

/** The names of the resources: ours, and Kubernetes'. */
const RESOURCES = { cpu: "cpu", memory: "memory", ephemeralStorage: "ephemeral-storage" } as const;
const RESOURCE_NAMES = Object.entries(RESOURCES) as readonly [keyof Amounts, string][];

/** The object to create for a request. */
export function toResource(
  { id, spec, requestDigest, provisional = false }: CreateSandbox,
  at: { readonly namespace: string; readonly nowMs: number },
): SandboxResource {
  return {
    metadata: {
      name: id,
      namespace: at.namespace,
      annotations: {
        [ANNOTATION.requestDigest]: requestDigest,
        [ANNOTATION.createdAtMs]: String(at.nowMs),
        ...(provisional ? { [ANNOTATION.provisional]: "true" } : {}),
      },
      // From the first moment on, so that the operator need not write it.
      finalizers: [SANDBOX_FINALIZER],
    },
    spec: toSpecResource(spec),
  };
}

function toSpecResource(spec: SandboxSpec): SandboxSpecResource {
  const { containers, timeoutSeconds, startupTimeoutSeconds, network, terminationPolicy } = spec;
  const sources = containers.flatMap(toSource);
  return {
    podTemplate: { spec: { containers: containers.map(toTemplateContainer) } },
    startupTimeoutSeconds,
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ...(network === undefined ? {} : { network }),
    ...(terminationPolicy === undefined ? {} : { terminationPolicy }),
    ...(sources.length === 0 ? {} : { rootfsSnapshotSources: sources }),
  };
}

function toSource(container: ContainerSpec): SnapshotSource[] {
  const { name, rootfsSnapshotName, rootfsSnapshotAllowOtherBase } = container;
  if (rootfsSnapshotName === undefined) return [];
  const force = rootfsSnapshotAllowOtherBase === undefined ? {} : { allowOtherBase: rootfsSnapshotAllowOtherBase };
  return [{ containerName: name, snapshotName: rootfsSnapshotName, ...force }];
}

function toTemplateContainer({ name, image, command, env, resources }: ContainerSpec): Container & { image: string } {
  const variables = Object.entries(env).map(([key, value]) => ({ name: key, value: toTemplateText(value) }));
  const { limits, requests } = resources ?? {};
  return {
    name,
    image,
    ...(command === undefined ? {} : { command: command.map(toTemplateText) }),
    ...(variables.length === 0 ? {} : { env: variables }),
    ...(resources === undefined
      ? {}
      : {
          resources: {
            ...(limits === undefined ? {} : { limits: toResourceList(limits) }),
            ...(requests === undefined ? {} : { requests: toResourceList(requests) }),
          },
        }),
  };
}

function toResourceList(amounts: Amounts): Readonly<Record<string, string>> {
  return Object.fromEntries(
    RESOURCE_NAMES.flatMap(([ours, theirs]) => {
      const amount = amounts[ours];
      return amount === undefined ? [] : [[theirs, amount]];
    }),
  );
}

/** The domain's spec of an object, whoever made it: what the domain has no word for is left out. */
export function toSpec({ spec }: Pick<SandboxResource, "spec">): SandboxSpec {
  const { podTemplate, timeoutSeconds, startupTimeoutSeconds } = spec;
  const containers = podTemplate.spec.containers as readonly (Container & { readonly image: string })[];
  const [first] = containers;
  const snapshots = new Map(
    (spec.rootfsSnapshotSources ?? []).map((source) => [source.containerName ?? first?.name, source]),
  );
  return {
    containers: containers.map((container) => toContainerSpec(container, snapshots.get(container.name))),
    startupTimeoutSeconds,
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ...(spec.network === undefined ? {} : { network: spec.network }),
    ...(spec.terminationPolicy === undefined ? {} : { terminationPolicy: spec.terminationPolicy }),
  };
}

function toContainerSpec(
  container: Container & { readonly image: string },
  source: SnapshotSource | undefined,
): ContainerSpec {
  // The definition names nothing of these: the API server keeps whatever anybody writes there.
  const { name, image, command, env, resources } = container as ContainerOfAnybody;
  const words = toCommand(command);
  const limits = toAmounts(resources?.limits);
  const requests = toAmounts(resources?.requests);
  return {
    name,
    image,
    env: Object.fromEntries(Array.isArray(env) ? env.flatMap(toVariable) : []),
    ...(words.length === 0 ? {} : { command: words }),
    ...(limits === undefined && requests === undefined
      ? {}
      : {
          resources: { ...(limits === undefined ? {} : { limits }), ...(requests === undefined ? {} : { requests }) },
        }),
    ...(source === undefined ? {} : { rootfsSnapshotName: source.snapshotName }),
    ...(source?.allowOtherBase === undefined ? {} : { rootfsSnapshotAllowOtherBase: source.allowOtherBase }),
  };
}

interface ContainerOfAnybody {
  readonly name: string;
  readonly image: string;
  readonly command?: unknown;
  readonly env?: unknown;
  readonly resources?: { readonly limits?: unknown; readonly requests?: unknown } | null;
}

/** What is no command makes no pod, and the sandbox says so by itself. */
function toCommand(command: unknown): readonly string[] {
  return isTexts(command) ? command.map(toLiteralText) : [];
}

function isTexts(list: unknown): list is readonly string[] {
  return Array.isArray(list) && list.every((item) => typeof item === "string");
}

/** A value from elsewhere is not known here. */
function toVariable(variable: Partial<Record<keyof EnvVar, unknown>> | null): [string, string][] {
  const { name, value, valueFrom } = variable ?? {};
  const text = value ?? "";
  const isKnown = typeof name === "string" && typeof text === "string" && (valueFrom ?? undefined) === undefined;
  return isKnown ? [[name, toLiteralText(text)]] : [];
}

/** The API server takes any text, and numbers, for quantities of a template; reading a very long one takes long. */
function toAmounts(list: unknown): Amounts | undefined {
  const amounts = RESOURCE_NAMES.flatMap(([ours, theirs]) => {
    const amount = (list as Readonly<Record<string, unknown>> | null | undefined)?.[theirs];
    const text = Quantity.safeParse(typeof amount === "number" ? `${amount}` : amount);
    const quantity = text.success ? parseQuantity(text.data) : undefined;
    return quantity === undefined ? [] : [[ours, formatQuantity(quantity)]];
  });
  return amounts.length === 0 ? undefined : Object.fromEntries(amounts);
}
