import { beforeAll, describe, expect, it } from "vitest";
import { InstallerEnvironment } from "#installer/manifest.ts";
import { NodeMounterEnvironment } from "#mounter/manifest.ts";
import { OperatorEnvironment } from "#operator/manifest.ts";
import { GatewayEnvironment } from "#runtime/manifest.ts";
import type { Registration } from "../../test/cluster/pulumi/registration.ts";
import { registrationsOf } from "../test/registrations.ts";

const LOCAL = "of the local backend";
const IN_A_FOLDER = "credentials come as files, which follow their Secret without a restart";

/** What an installation sets nothing for, and why. Everything else of a manifest has a key. */
const NOT_SET: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "atoll-operator": {},
  "atoll-gateway": {
    ATOLL_API_KEY_HASHES: "the keys come as a file, which follows its Secret without a restart",
    ATOLL_MAX_SANDBOXES: "a ResourceQuota of the sandbox namespace decides",
    ATOLL_RETENTION_SECONDS: "the operator decides",
    ISOLA_SANDBOX_NAMESPACE: "another name of ATOLL_SANDBOX_NAMESPACE",
    ATOLL_KUBECONFIG: "the pod has an account",
    ATOLL_HOME: LOCAL,
    ATOLL_RUNSC: LOCAL,
    ATOLL_POOL_SIZE: LOCAL,
    ATOLL_JOURNAL_BUDGET_BYTES: LOCAL,
    ATOLL_RUN_DIR: LOCAL,
    ATOLL_PLATFORM: LOCAL,
    ATOLL_START_CONCURRENCY: LOCAL,
    ATOLL_DEFAULT_STORAGE_BYTES: LOCAL,
    ATOLL_DISK_RESERVE_BYTES: LOCAL,
    ATOLL_OVERHEAD_MEMORY_BYTES: LOCAL,
    ATOLL_PIDS_LIMIT: LOCAL,
    ATOLL_IMAGE_ALIASES: LOCAL,
    ATOLL_IMAGE_STORE_BYTES: LOCAL,
    ATOLL_IMAGE_MAX_UNPACKED_BYTES: LOCAL,
    ATOLL_IMAGE_PULL_POLICY: LOCAL,
    ATOLL_IMAGE_AUTH_FILE: LOCAL,
    ATOLL_INSECURE_REGISTRIES: LOCAL,
    ATOLL_NETWORK_NAME: LOCAL,
    ATOLL_NETWORK_POOL: LOCAL,
    ATOLL_NETWORK_POOL_IPV6: LOCAL,
    ATOLL_SNAPSHOT_STORE: LOCAL,
    ATOLL_SNAPSHOT_CACHE_BYTES: LOCAL,
  },
  "atoll-mounter": {
    AWS_ACCESS_KEY_ID: IN_A_FOLDER,
    AWS_SECRET_ACCESS_KEY: IN_A_FOLDER,
    AWS_SESSION_TOKEN: IN_A_FOLDER,
    AZURE_STORAGE_KEY: IN_A_FOLDER,
    GOOGLE_CREDENTIALS: IN_A_FOLDER,
  },
  "atoll-installer": {
    ATOLL_HOST_ROOT: "the pod is in the node's process namespace, so it is always the same",
  },
};

/** Whatever is left out when it is empty has a value here. */
const EVERYTHING = {
  imagePullSecrets: ["pull"],
  operator: {
    sandboxes: {
      priorityClassName: "sandboxes",
      agentResources: { requests: { cpu: "20m", memory: "64Mi" }, limits: { cpu: 1, memory: "256Mi" } },
      timeoutRetentionSeconds: 0,
      provisionalSeconds: 60,
    },
    concurrency: 8,
  },
  gateway: { auth: { allowedHosts: ["gateway.test"] }, maxStreamsPerSandbox: 9 },
  installer: { containerd: { config: "/etc/containerd/config.toml", socket: "/run/containerd.sock" } },
  snapshotCredentials: { AZURE_STORAGE_KEY: "a-key-of-the-store" },
  snapshots: {
    enabled: true,
    store: { url: "azblob://box?account=acct" },
    restorePort: 10_034,
    mounter: { cacheSize: "1Gi", environment: { AZURE_REGION: 1 } },
  },
};

describe("the environment of the programs", () => {
  let all: readonly Registration[] = [];
  const variablesOf = (name: string): Map<string, string | undefined> => {
    const workload = all.find(
      ({ inputs, name: registered }) => registered === name && /^(Deployment|DaemonSet)$/.test(String(inputs["kind"])),
    );
    if (workload === undefined) throw new Error(`there is no workload ${name}`);
    const { spec } = workload.inputs as unknown as Workload;
    return new Map(spec.template.spec.containers.flatMap(({ env }) => env.map(({ name, value }) => [name, value])));
  };
  beforeAll(async () => {
    all = await registrationsOf(EVERYTHING);
  });

  it.each([
    ["atoll-operator", OperatorEnvironment],
    ["atoll-gateway", GatewayEnvironment],
    ["atoll-installer", InstallerEnvironment],
    ["atoll-mounter", NodeMounterEnvironment],
  ])("of %s is set by keys, or it is said why not", (name, { shape }) => {
    const set = [...variablesOf(name).keys()].filter((variable) => variable !== "AZURE_REGION");
    const notSet = Object.keys(NOT_SET[name] ?? {});
    expect(set.filter((variable) => notSet.includes(variable))).toEqual([]);
    expect([...set, ...notSet].toSorted()).toEqual(Object.keys(shape).toSorted());
  });

  it("takes what the keys say", () => {
    const operator = variablesOf("atoll-operator");
    expect(Object.fromEntries(operator)).toMatchObject({
      ATOLL_SIDECAR_CPU_REQUEST: "20m",
      ATOLL_SIDECAR_MEMORY_REQUEST: "64Mi",
      ATOLL_SIDECAR_CPU_LIMIT: "1",
      ATOLL_SIDECAR_MEMORY_LIMIT: "256Mi",
      ATOLL_TIMEOUT_RETENTION_SECONDS: "0",
      ATOLL_PROVISIONAL_SECONDS: "60",
      ATOLL_CONCURRENCY: "8",
    });
    expect(variablesOf("atoll-gateway").get("ATOLL_MAX_STREAMS_PER_SANDBOX")).toBe("9");
    expect(Object.fromEntries(variablesOf("atoll-mounter"))).toMatchObject({
      ATOLL_SNAPSHOT_STORE: "azblob://box?account=acct",
      ATOLL_SNAPSHOT_CREDENTIALS_DIR: "/etc/atoll/snapshot-credentials",
      ATOLL_MOUNTER_CACHE_BYTES: String(2 ** 30),
      AZURE_REGION: "1",
    });
    for (const name of ["atoll-mounter", "atoll-operator"])
      expect(variablesOf(name).get("ATOLL_RESTORE_PORT")).toBe("10034");
    for (const name of ["atoll-gateway", "atoll-operator"])
      expect(variablesOf(name).get("ATOLL_SNAPSHOTS")).toBe("true");
  });

  it("without a word of the configuration is what the programs would take themselves", async () => {
    const store = { url: "s3://bucket" };
    all = await registrationsOf({ snapshots: { enabled: true, store } });
    // Where a program listens, and which of its backends it uses, belongs to the pod.
    const ofThePod =
      /_LISTEN$|^ATOLL_BACKEND$|^ATOLL_POD_NAME$|^ATOLL_NODE_NAME$|^ATOLL_SIDECAR_IMAGE$|^ATOLL_API_KEYS_FILE$|^ATOLL_SNAPSHOTS$|^ATOLL_SNAPSHOT_STORE$/;
    for (const [name, { shape }] of [
      ["atoll-operator", OperatorEnvironment],
      ["atoll-gateway", GatewayEnvironment],
      ["atoll-installer", InstallerEnvironment],
      ["atoll-mounter", NodeMounterEnvironment],
    ] as const) {
      const given = [...variablesOf(name)].filter(([variable]) => !ofThePod.test(variable));
      expect(given.length).toBeGreaterThan(5);
      for (const [variable, value] of given) {
        const read = (text: string | undefined): unknown => shape[variable as keyof typeof shape].parse(text);
        expect([variable, read(value)]).toEqual([variable, read(undefined)]);
      }
    }
  });
});

interface Workload {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly env: readonly { readonly name: string; readonly value?: string }[];
        }[];
      };
    };
  };
}
