import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import {
  INSTALLER_CLUSTER_RULES,
  INSTALLER_EVENT_NAMESPACE,
  INSTALLER_EVENT_RULES,
  INSTALLER_PATHS,
  INSTALLER_POD,
  INSTALLER_PORTS,
  InstallerEnvironment,
} from "#installer/manifest.ts";
import type { InstallConfig } from "../config.ts";
import { renderEnvironment } from "../environment.ts";
import { baseContainer, baseSpec, objectLabels, podMetadata, selectorLabels } from "../pods.ts";
import { Access } from "./access.ts";

/** Value of the `name` label. */
const PROGRAM = "atoll-installer";

export interface GvisorInstallerArgs {
  readonly config: InstallConfig;
}

/** Brings gVisor to each node and labels the nodes where it works. It needs the whole node, as it sets up its container engine. */
export class GvisorInstaller extends pulumi.ComponentResource {
  constructor(name: string, { config }: GvisorInstallerArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:GvisorInstaller", name, {}, options);
    if (config.installer.enabled) this.#install(config);
    this.registerOutputs({});
  }

  #install(config: InstallConfig): void {
    const { installer } = config;
    const namespace = config.systemNamespace.name;
    const access = new Access(
      `${installer.name}-access`,
      {
        program: PROGRAM,
        name: installer.name,
        systemNamespace: namespace,
        serviceAccount: installer.serviceAccount,
        clusterRules: INSTALLER_CLUSTER_RULES,
        namespaceRules: [{ namespace: INSTALLER_EVENT_NAMESPACE, rules: INSTALLER_EVENT_RULES }],
      },
      { parent: this },
    );
    const metadata = { namespace, name: installer.name, labels: objectLabels(PROGRAM) };
    const spec = {
      selector: { matchLabels: selectorLabels(PROGRAM) },
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: installer.maxUnavailable } },
      revisionHistoryLimit: 3,
      template: installerPod(config),
    };
    new k8s.apps.v1.DaemonSet(
      installer.name,
      { metadata, spec },
      // An update goes through the nodes in turn, and each is ready only when a pod in gVisor ran on it.
      { parent: this, dependsOn: [access], customTimeouts: { create: "15m", update: "30m" } },
    );
  }
}

function installerPod(config: InstallConfig): k8s.types.input.core.v1.PodTemplateSpec {
  const { installer } = config;
  const pod = {
    program: PROGRAM,
    image: installer.image,
    defaults: config,
    scheduling: installer,
    resources: installer.resources,
    serviceAccountName: installer.serviceAccount.name,
    environment: installerEnvironment(config),
    ports: INSTALLER_PORTS,
    probes: { port: INSTALLER_PORTS.health, livePath: INSTALLER_PATHS.live, readyPath: INSTALLER_PATHS.ready },
    terminationGracePeriodSeconds: 30,
  };
  const container = {
    ...baseContainer(pod),
    securityContext: { privileged: INSTALLER_POD.privileged, readOnlyRootFilesystem: true, runAsUser: 0 },
  };
  return {
    metadata: podMetadata(pod),
    spec: {
      ...baseSpec(pod),
      hostPID: INSTALLER_POD.hostPid,
      containers: [container],
    },
  };
}

function installerEnvironment({ installer, runtimeClass }: InstallConfig) {
  const { containerd } = installer;
  return renderEnvironment(InstallerEnvironment, {
    ATOLL_NODE_NAME: { fieldPath: "spec.nodeName" },
    ATOLL_INSTALLER_MODE: installer.mode,
    ATOLL_GVISOR_DIR: installer.gvisorDir,
    ATOLL_RUNTIME_HANDLER: runtimeClass.handler,
    ATOLL_CONTAINERD_CONFIG: containerd.config,
    ATOLL_CONTAINERD_SOCKET: containerd.socket,
    ATOLL_CONTAINERD_RESTART: containerd.restart,
    ATOLL_CGROUP_DRIVER: containerd.cgroupDriver,
    ATOLL_CHECK_SECONDS: String(installer.checkSeconds),
    ATOLL_RESTART_TIMEOUT_SECONDS: String(containerd.restartTimeoutSeconds),
    ATOLL_NETWORK_TIMEOUT_SECONDS: String(installer.networkTimeoutSeconds),
    ATOLL_HEALTH_LISTEN: `0.0.0.0:${INSTALLER_PORTS.health}`,
    ATOLL_LOG_LEVEL: installer.logging.level,
  });
}
