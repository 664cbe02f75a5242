import * as k8s from "@pulumi/kubernetes";
import type { ComponentResourceOptions, Input, Resource } from "@pulumi/pulumi";
import { AdmissionFence } from "./components/admission-fence.ts";
import { AgentKeys } from "./components/agent-keys.ts";
import { Crds } from "./components/crds.ts";
import { DrainGuards } from "./components/drain-guards.ts";
import { Gateway } from "./components/gateway.ts";
import { GvisorInstaller } from "./components/gvisor-installer.ts";
import { Mounter } from "./components/mounter.ts";
import { Namespaces } from "./components/namespaces.ts";
import { NetworkFence } from "./components/network-fence.ts";
import { Operator } from "./components/operator.ts";
import { SandboxRuntimeClass } from "./components/runtime-class.ts";
import { SandboxPriority } from "./components/sandbox-priority.ts";
import { SystemNetwork } from "./components/system-network.ts";
import type { InstallConfig } from "./config.ts";

/** How the cluster is reached; absent = as `kubectl` would. */
export interface ClusterAccess {
  readonly kubeconfig?: Input<string>;
  readonly context?: Input<string>;
  /** Whatever stands for the cluster when its address changes: while it stays, nothing is made anew. */
  readonly clusterIdentifier?: Input<string>;
}

/**
 * Everything that is installed, in the order that matters: what fences sandboxes before the operator
 * that makes them, and before the gateway what a destroy must find gone: see `DrainGuards`.
 */
export function createInstallation(config: InstallConfig, access: ClusterAccess): void {
  const settings = {
    // Not absent: the path in this machine's KUBECONFIG would become part of the stack, and bind it to the machine.
    kubeconfig: "",
    ...access,
    enableServerSideApply: true,
    enableSecretMutable: true,
    enableConfigMapMutable: true,
  };
  const provider = new k8s.Provider("kubernetes", settings);
  // Definitions that an earlier installation kept are taken up again; anything else that exists is an error.
  const adopting = new k8s.Provider("kubernetes-adopting", { ...settings, upsertExistingObjects: true });
  const after = (...dependsOn: Resource[]): ComponentResourceOptions => ({ provider, dependsOn });
  const sandboxNamespaces = config.sandboxNamespaces.map(({ name }) => name);

  const crds = new Crds("crds", config.crds, { provider: adopting });
  const spaces = new Namespaces(
    "namespaces",
    {
      system: config.systemNamespace,
      sandboxes: config.sandboxNamespaces,
      needsNode: config.installer.enabled || config.snapshots.enabled,
    },
    { provider },
  );

  const runtimeClass = new SandboxRuntimeClass("runtime-class", config, after());
  const priority = new SandboxPriority("sandbox-priority", config, after());
  const admission = new AdmissionFence("admission-fence", { config }, after(crds));
  new GvisorInstaller("gvisor-installer", { config }, after(spaces, admission));
  const network = new NetworkFence("network-fence", { config }, after(spaces));
  const system = new SystemNetwork("system-network", { config }, after(spaces));
  const keys = new AgentKeys("agent-keys", { namespace: config.systemNamespace.name }, after(spaces));

  const operator = new Operator(
    "operator",
    { config },
    after(spaces, crds, admission, network, system, keys, runtimeClass, priority),
  );
  const mounter = new Mounter("mounter", { config }, after(spaces, crds, admission));
  const guards = new DrainGuards(
    "drain-guards",
    { namespaces: sandboxNamespaces, drain: config.drainOnDestroy },
    after(operator, mounter),
  );
  if (config.gateway.enabled) new Gateway("gateway", { config }, after(operator, guards));
}
