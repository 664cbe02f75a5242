import type {
  CreateSandboxRequest,
  Network,
  SandboxResponse,
  SandboxSummary,
  TerminationPolicy,
} from "#api/sandbox.ts";
import { ProblemError } from "#core/problem-error.ts";
import { formatQuantity, parseQuantity, type Quantity } from "#core/quantity.ts";
import type { Amounts, ContainerSpec, Sandbox, SandboxSpec, TerminationPolicySpec } from "#core/sandbox.ts";
import { timestamp } from "./timestamp.ts";

type ContainerRequest = CreateSandboxRequest["podTemplate"]["containers"][number];
type ContainerResponse = SandboxResponse["podTemplate"]["containers"][number];
type Kind = "limits" | "requests";

/** The domain's spec of a request: names filled in, quantities canonical. `bad-quantity` for one that is none. */
export function toSpec(request: CreateSandboxRequest, id: string): SandboxSpec {
  const { timeoutSeconds, startupTimeoutSeconds, network, terminationPolicy } = request;
  return {
    containers: request.podTemplate.containers.map(toContainer),
    startupTimeoutSeconds,
    ...defined({ timeoutSeconds, network: network && defined(network) }),
    ...(terminationPolicy === undefined ? {} : { terminationPolicy: toPolicy(terminationPolicy, id) }),
  };
}

/** A snapshot without a name gets the sandbox's id, by contract. */
function toPolicy({ type, snapshotRootfs }: TerminationPolicy, id: string): TerminationPolicySpec {
  if (snapshotRootfs === undefined) return { type };
  const { snapshotName = id, timeoutSeconds } = snapshotRootfs;
  return { type, snapshotRootfs: { snapshotName, timeoutSeconds } };
}

/** Member by member: it is the whole work of the most frequent request. */
export function toResponse(sandbox: Sandbox): SandboxResponse {
  const { id, phase, spec, reason, message } = sandbox;
  const response: SandboxResponse = {
    id,
    podTemplate: { containers: spec.containers.map(toContainerResponse) },
    status: phase,
    creationTimestamp: timestamp(sandbox.createdAtMs),
    startupTimeoutSeconds: spec.startupTimeoutSeconds,
  };
  if (reason !== undefined) response.reason = reason;
  if (message !== undefined) response.message = message;
  if (spec.timeoutSeconds !== undefined) response.timeoutSeconds = spec.timeoutSeconds;
  if (spec.network !== undefined) response.network = spec.network as Network;
  if (spec.terminationPolicy !== undefined) response.terminationPolicy = spec.terminationPolicy;
  return response;
}

export function toSummary({ id, phase, createdAtMs }: Sandbox): SandboxSummary {
  return { id, status: phase, creationTimestamp: timestamp(createdAtMs) };
}

function toContainer(container: ContainerRequest, index: number): ContainerSpec {
  const name = container.name ?? `sandbox${index}`;
  const limits = toAmounts(container, name, "limits");
  const requests = toAmounts(container, name, "requests");
  const command = container.command ?? [];
  const { rootfsSnapshotName, rootfsSnapshotAllowOtherBase } = container;
  return {
    name,
    image: container.image,
    env: container.env ?? {},
    ...(command.length === 0 ? {} : { command }),
    ...(limits === undefined && requests === undefined ? {} : { resources: defined({ limits, requests }) }),
    ...(rootfsSnapshotName === undefined ? {} : { rootfsSnapshotName }),
    ...(rootfsSnapshotAllowOtherBase === undefined ? {} : { rootfsSnapshotAllowOtherBase }),
  };
}

/** Canonical amounts of one list; undefined when it is absent or empty. */
function toAmounts({ resources }: ContainerRequest, container: string, kind: Kind): Amounts | undefined {
  const list = Object.entries<string | undefined>(resources?.[kind] ?? {});
  if (list.length === 0) return undefined;
  return Object.fromEntries(
    list.map(([resource, text = ""]) => {
      const quantity = parseQuantity(text);
      if (quantity === undefined || quantity.nano < 0n)
        throw badQuantity(`${kind}.${resource} "${text}"`, container, quantity);
      return [resource, formatQuantity(quantity)];
    }),
  );
}

function badQuantity(what: string, container: string, quantity: Quantity | undefined): ProblemError {
  const why = quantity === undefined ? "it is not a Kubernetes quantity such as 500m or 256Mi" : "it is negative";
  return new ProblemError("bad-quantity", `Container "${container}": cannot use resources.${what}: ${why}.`);
}

function toContainerResponse(container: ContainerSpec): ContainerResponse {
  const { name, image, command, resources, rootfsSnapshotName, rootfsSnapshotAllowOtherBase } = container;
  const response: ContainerResponse = { name, image };
  if (command !== undefined) response.command = [...command];
  if (resources !== undefined) response.resources = resources;
  if (rootfsSnapshotName !== undefined) response.rootfsSnapshotName = rootfsSnapshotName;
  if (rootfsSnapshotAllowOtherBase !== undefined) response.rootfsSnapshotAllowOtherBase = rootfsSnapshotAllowOtherBase;
  return response;
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Without the members that are undefined. */
function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Defined<T>;
}
