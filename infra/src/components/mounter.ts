import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { MOUNTER_NAME } from "#core/kubernetes/names.ts";
import {
  MOUNTER_PATHS,
  MOUNTER_SANDBOX_NAMESPACE_RULES,
  MOUNTER_SYSTEM_NAMESPACE_RULES,
  NodeMounterEnvironment,
} from "#mounter/manifest.ts";
import type { InstallConfig } from "../config.ts";
import { bytesOf } from "../config/fields.ts";
import { renderEnvironment, type EnvironmentVariable } from "../environment.ts";
import { mounterVolumes, type MountedFolder } from "../mounter-volumes.ts";
import { omitEmpty } from "../omit-empty.ts";
import { baseContainer, baseSpec, objectLabels, podMetadata, selectorLabels } from "../pods.ts";
import { Access } from "./access.ts";
import { SnapshotStore } from "./snapshot-store.ts";

/** Value of the `name` label. */
const PROGRAM = MOUNTER_NAME;
const CREDENTIALS_FOLDER = "/etc/atoll/snapshot-credentials";
const LOOPBACK = "127.0.0.1";

export interface MounterArgs {
  readonly config: InstallConfig;
}

/**
 * Takes snapshots of the containers of its node and brings snapshots to it. It is root, without a
 * capability, and sees of the node the state of gVisor's containers, gVisor's program and two folders of its own.
 */
export class Mounter extends pulumi.ComponentResource {
  constructor(name: string, { config }: MounterArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:Mounter", name, {}, options);
    if (config.snapshots.enabled) this.#install(config);
    this.registerOutputs({});
  }

  #install(config: InstallConfig): void {
    const { mounter } = config.snapshots;
    const namespace = config.systemNamespace.name;
    const store = new SnapshotStore(`${mounter.name}-store`, { config }, { parent: this });
    const access = new Access(
      `${mounter.name}-access`,
      {
        program: PROGRAM,
        name: mounter.name,
        systemNamespace: namespace,
        serviceAccount: mounter.serviceAccount,
        clusterRules: [],
        namespaceRules: [
          { namespace, rules: MOUNTER_SYSTEM_NAMESPACE_RULES },
          ...config.sandboxNamespaces.map(({ name }) => ({ namespace: name, rules: MOUNTER_SANDBOX_NAMESPACE_RULES })),
        ],
      },
      { parent: this },
    );
    const labels = objectLabels(PROGRAM);
    const quota = this.#allowPriority(namespace, mounter.name, mounter.priorityClassName);
    new k8s.apps.v1.DaemonSet(
      mounter.name,
      {
        metadata: { namespace, name: mounter.name, labels },
        spec: {
          selector: { matchLabels: selectorLabels(PROGRAM) },
          updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: mounter.maxUnavailable } },
          revisionHistoryLimit: 3,
          template: mounterPod(config, store.secret),
        },
      },
      { parent: this, dependsOn: [access, store, ...quota], customTimeouts: { create: "15m", update: "30m" } },
    );
  }

  /** Some clouds let the cluster's own priorities into a namespace only where a quota says so. */
  #allowPriority(namespace: string, name: string, priority: string): pulumi.Resource[] {
    if (!priority.startsWith("system-")) return [];
    const scopes = [{ scopeName: "PriorityClass", operator: "In", values: [priority] }];
    return [
      new k8s.core.v1.ResourceQuota(
        `${name}-priority`,
        {
          metadata: { namespace, name: `${name}-priority`, labels: objectLabels(PROGRAM) },
          spec: { hard: { pods: "1G" }, scopeSelector: { matchExpressions: scopes } },
        },
        { parent: this },
      ),
    ];
  }
}

function mounterPod(config: InstallConfig, secret: string | undefined): k8s.types.input.core.v1.PodTemplateSpec {
  const { snapshots, runtimeClass } = config;
  const { mounter } = snapshots;
  const probes = {
    port: snapshots.restorePort,
    livePath: MOUNTER_PATHS.live,
    readyPath: MOUNTER_PATHS.ready,
    host: LOOPBACK,
  };
  const pod = {
    program: PROGRAM,
    image: mounter.image,
    defaults: config,
    scheduling: { ...mounter, nodeSelector: { ...runtimeClass.nodeSelector, ...mounter.nodeSelector } },
    resources: mounter.resources,
    serviceAccountName: mounter.serviceAccount.name,
    environment: [...mounterEnvironment(config, secret), ...furtherEnvironment(config)],
    ports: {},
    probes,
    terminationGracePeriodSeconds: 30,
  };
  const folders: readonly MountedFolder[] = mounterVolumes(config, { secret, credentialsFolder: CREDENTIALS_FOLDER });
  const container = {
    ...baseContainer(pod),
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: folders.map(({ mount }) => mount),
  };
  return {
    metadata: podMetadata(pod),
    spec: {
      ...baseSpec(pod),
      // Kubelet asks it on the node's loopback address, where nothing else reaches it.
      hostNetwork: true,
      dnsPolicy: "ClusterFirstWithHostNet",
      securityContext: {
        seccompProfile: { type: "RuntimeDefault" },
        ...omitEmpty({ seLinuxOptions: omitEmpty({ type: mounter.seLinuxType }) }),
      },
      containers: [container],
      volumes: folders.map(({ volume }) => volume),
    },
  };
}

function mounterEnvironment(config: InstallConfig, secret: string | undefined): EnvironmentVariable[] {
  const { snapshots } = config;
  const { store, mounter, runsc } = snapshots;
  return renderEnvironment(NodeMounterEnvironment, {
    ATOLL_NODE_NAME: { fieldPath: "spec.nodeName" },
    ATOLL_POD_NAME: { fieldPath: "metadata.name" },
    ATOLL_SYSTEM_NAMESPACE: config.systemNamespace.name,
    ATOLL_SANDBOX_NAMESPACES: config.sandboxNamespaces.map(({ name }) => name).join(","),
    ATOLL_SNAPSHOT_STORE: store.url,
    ATOLL_SNAPSHOT_CREDENTIALS_DIR: secret === undefined ? undefined : CREDENTIALS_FOLDER,
    ATOLL_SNAPSHOT_ANONYMOUS: store.anonymous ? "true" : "false",
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
    AWS_SESSION_TOKEN: undefined,
    AZURE_STORAGE_KEY: undefined,
    GOOGLE_CREDENTIALS: undefined,
    ATOLL_RUNSC: runsc.binaryPath,
    ATOLL_RUNSC_ROOT: runsc.rootDir,
    ATOLL_RESTORE_PORT: String(snapshots.restorePort),
    ATOLL_RESTORE_FOLDER: snapshots.restoreFolder,
    ATOLL_MOUNTER_DIR: mounter.folder,
    ATOLL_MOUNTER_CACHE_BYTES: bytesOf(mounter.cacheSize),
    ATOLL_MOUNTER_STAGING_BYTES: bytesOf(mounter.stagingSize),
    ATOLL_DISK_RESERVE_BYTES: bytesOf(mounter.diskReserve),
    ATOLL_CONCURRENCY: String(mounter.concurrency),
    ATOLL_LOG_LEVEL: mounter.logging.level,
  });
}

function furtherEnvironment({ snapshots }: InstallConfig): EnvironmentVariable[] {
  return Object.entries(snapshots.mounter.environment).map(([name, value]) => ({ name, value }));
}
