import type { KubeClient } from "#core/kubernetes/client.ts";
import { createKubernetesProvider, type KubernetesProvider } from "./pulumi/kubernetes-provider.ts";
import { differences } from "./pulumi/property-diff.ts";
import type { Registration } from "./pulumi/registration.ts";
import { runProgram } from "./pulumi/run-program.ts";

/** What an update did, by resource name. */
export interface Changes {
  readonly created: readonly string[];
  /** With the paths that differed. */
  readonly updated: readonly string[];
  readonly removed: readonly string[];
}

export interface Installation {
  /** Resources as they are installed, in the order in which they became ready. */
  readonly resources: () => readonly Registration[];
  /** Runs the program with these settings and brings the cluster to what it says. */
  update(settings: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<Changes>;
  /** What a refresh finds changed in the cluster, as `name: path`. */
  refresh(signal?: AbortSignal): Promise<readonly string[]>;
  /** Removes what was installed, last made first. Kept objects stay. */
  uninstall(signal?: AbortSignal): Promise<void>;
}

export interface InstallOptions {
  readonly client: KubeClient;
  /** Ends the installing alone: an update, a refresh and a removal take their own. */
  readonly signal: AbortSignal;
  /** Keys of the stack that are secret. */
  readonly secretKeys?: readonly string[];
}

/** Longest update, refresh or removal that has no signal of its own. */
const OPERATION_MS = 300_000;

/**
 * Installs the platform as `pulumi up` does: the real program in Pulumi's Node host registers its
 * resources, and each is applied, and waited for, as soon as it arrives: the host sends a resource
 * when all it depends on is done.
 */
export async function install(
  settings: Readonly<Record<string, unknown>>,
  { client, signal, secretKeys = [] }: InstallOptions,
): Promise<Installation> {
  const providerOf = (signal: AbortSignal): KubernetesProvider => createKubernetesProvider(client, signal);
  const patience = (): AbortSignal => AbortSignal.timeout(OPERATION_MS);
  let installed = new Map<string, Registration>();

  const update = async (settings: Readonly<Record<string, unknown>>, signal = patience()): Promise<Changes> => {
    const provider = providerOf(signal);
    const before = installed;
    const after = new Map<string, Registration>();
    const created: string[] = [];
    const updated: string[] = [];
    const { exitCode, messages } = await runProgram({ settings, secretKeys, signal }, async (registration) => {
      const old = before.get(registration.urn);
      const record = (): void => {
        after.set(registration.urn, registration);
        installed = new Map([...before, ...after]);
      };
      const { state, change } = await bring(provider, registration, { old, installed: after, begun: record });
      record();
      if (change === "created") created.push(registration.name);
      if (change !== undefined && change !== "created") updated.push(`${registration.name}: ${change}`);
      return state;
    });
    if (exitCode !== 0) throw new Error(`the program ended with ${exitCode}: ${messages.join("\n")}`);
    const gone = [...before.values()].filter(({ urn }) => !after.has(urn));
    await removeAll(provider, gone);
    installed = after;
    return { created, updated, removed: gone.map(({ name }) => name) };
  };

  const installation: Installation = {
    resources: () => [...installed.values()],
    update,
    refresh: async (signal = patience()) => {
      const provider = providerOf(signal);
      const found = await Promise.all(
        objects(installed.values()).map(async (registration) =>
          (await provider.diff(registration)).map((path) => `${registration.name}: ${path}`),
        ),
      );
      return found.flat();
    },
    uninstall: async (signal = patience()) => {
      await removeAll(providerOf(signal), [...installed.values()]);
      installed = new Map();
    },
  };
  try {
    await update(settings, signal);
    return installation;
  } catch (error) {
    await installation.uninstall();
    throw error;
  }
}

interface Circumstances {
  /** The resource as it was; absent = it is new. */
  readonly old: Registration | undefined;
  readonly installed: ReadonlyMap<string, Registration>;
  /** Called as soon as there may be something to remove, ready or not. */
  readonly begun: () => void;
}

/** Does for one resource what the engine and the provider do. The change is absent when there was nothing to do. */
async function bring(
  provider: KubernetesProvider,
  registration: Registration,
  { old, installed, begun }: Circumstances,
): Promise<{ readonly state: Record<string, unknown>; readonly change?: string }> {
  if (!isObject(registration)) return { state: registration.inputs };
  if (old === undefined)
    return { state: await provider.create(registration, isUpsert(registration, installed), begun), change: "created" };
  const kept = { ...registration, inputs: withoutIgnored(registration, old) };
  const paths = [...new Set([...differences(old.inputs, kept.inputs), ...(await provider.diff(kept))])];
  if (paths.length === 0) return { state: registration.inputs };
  const fixed = paths.find((path) => /^(metadata\.(name|namespace)|spec\.selector|roleRef|type)\b/.test(path));
  if (fixed !== undefined) throw new Error(`${registration.urn} would be replaced: ${fixed} changes`);
  return { state: await provider.update(kept), change: paths.join(", ") };
}

/** Inputs of ignored paths stay what they were. */
function withoutIgnored({ inputs, ignoreChanges }: Registration, old: Registration): Record<string, unknown> {
  const kept = Object.entries(old.inputs).filter(([key]) => ignoreChanges.includes(key));
  const ours = Object.entries(inputs).filter(([key]) => !ignoreChanges.includes(key));
  return Object.fromEntries([...ours, ...kept]);
}

function isUpsert({ provider }: Registration, installed: ReadonlyMap<string, Registration>): boolean {
  const urn = provider.slice(0, provider.lastIndexOf("::"));
  return String(installed.get(urn)?.inputs["upsertExistingObjects"]) === "true";
}

/** Objects of the cluster, not providers and components. */
function objects(registrations: Iterable<Registration>): Registration[] {
  return [...registrations].filter(isObject);
}

function isObject({ custom, type }: Registration): boolean {
  return custom && type.startsWith("kubernetes:");
}

/** Removes each as soon as nothing that is left depends on it. */
async function removeAll(provider: KubernetesProvider, registrations: readonly Registration[]): Promise<void> {
  const removals = new Map<string, Promise<void>>();
  const removal = (registration: Registration): Promise<void> => {
    const known = removals.get(registration.urn);
    if (known !== undefined) return known;
    const dependents = registrations.filter((other) => dependsOn(other, registration));
    const begun = Promise.all(dependents.map(removal)).then(async () => {
      if (isObject(registration) && !registration.retainOnDelete) await provider.remove(registration);
    });
    removals.set(registration.urn, begun);
    return begun;
  };
  await Promise.all(registrations.map(removal));
}

function dependsOn(other: Registration, { urn }: Registration): boolean {
  return other.dependencies.includes(urn) || other.parent === urn || other.provider.startsWith(`${urn}::`);
}
