import * as z from "zod";
import { MOUNTER_NAME } from "#core/kubernetes/names.ts";
import { CREDENTIAL_NAMES, NodeMounterEnvironment, parseStoreUrl } from "#mounter/manifest.ts";
import { bytesOf, countOf, Flag, LogLevel, ObjectName, Quantity, resources, serviceAccount, Text } from "./fields.ts";
import { image } from "./image.ts";
import { REAL_NODES } from "./installer.ts";
import { SCHEDULING } from "./scheduling.ts";

const variables = NodeMounterEnvironment.shape;

/** A path that a program takes from this variable; what holds without a word is the program's own. */
const pathOf = (variable: z.ZodType<string, string | undefined>) =>
  z
    .string()
    .refine((path) => variable.safeParse(path).success, "Expected an absolute path of letters, digits, ., _ and -")
    .default(variable.parse(undefined));

/** An amount of bytes that a program takes from this variable. */
const sizeOf = (variable: z.ZodType<number, string | undefined>, text: string) =>
  Quantity.refine((size) => variable.safeParse(bytesOf(size)).success, "Expected an amount of bytes").prefault(text);

/** Credentials of the store for trials, by the names of what its clients read. */
export const SnapshotCredentials = z
  .partialRecord(z.enum(CREDENTIAL_NAMES), z.string().min(1))
  .default({})
  .describe(
    "Credentials of the store, for trials: `pulumi config set --secret --path snapshotCredentials.AWS_SECRET_ACCESS_KEY …`; better is an identity of `snapshots.mounter.serviceAccount`",
  );

const Store = z
  .strictObject({
    url: z
      .string()
      .default("")
      .describe("Where snapshots are kept: `s3://`, `gs://` or `azblob://`; see the page on stores"),
    existingSecret: z
      .union([ObjectName, z.literal("")])
      .default("")
      .describe("Secret in the system namespace with credentials, a member each; wins over `snapshotCredentials`"),
    anonymous: Flag.default(false).describe("Ask the store as nobody: emulators"),
  })
  .prefault({});

const Mounter = z
  .strictObject({
    name: ObjectName.default(MOUNTER_NAME).describe("Name of the DaemonSet and of what belongs to it"),
    image: image("atoll-mounter"),
    folder: pathOf(variables.ATOLL_MOUNTER_DIR).describe(
      "Folder on the nodes for its cache and for what is on its way",
    ),
    cacheSize: sizeOf(variables.ATOLL_MOUNTER_CACHE_BYTES, "10Gi").describe(
      "Most that the cache of a node takes, and once more that archives take which no sandbox starts from now",
    ),
    stagingSize: sizeOf(variables.ATOLL_MOUNTER_STAGING_BYTES, "50Gi").describe(
      "Most that one snapshot may have unpacked, and that all dumps, and all archives in use, take on a node; one that needs more fails",
    ),
    diskReserve: sizeOf(variables.ATOLL_DISK_RESERVE_BYTES, "1Gi").describe("Free disk that it leaves to the node"),
    concurrency: countOf(variables.ATOLL_CONCURRENCY).describe(
      "Snapshots that a node takes at once, and as many restores that it unpacks",
    ),
    identityToken: z
      .strictObject({
        audience: z
          .string()
          .default("")
          .describe(
            "Audience of a token of the account, at `/var/run/secrets/atoll/identity/token`, for clouds whose identities need one named; empty = none",
          ),
        expirationSeconds: z.int().min(600).max(86_400).default(3600).describe("How long it is good; it is renewed"),
      })
      .prefault({}),
    environment: z
      .record(z.string().regex(/^[A-Z][A-Z0-9_]*$/, "Expected the name of a variable"), Text)
      .default({})
      .describe("Further variables, for the store's own library, such as `AWS_REGION`; none that the mounter knows"),
    seLinuxType: z
      .string()
      .default("")
      .describe("SELinux type of the pod where nodes enforce it, such as `spc_t`; empty = the engine's"),
    resources: resources({ cpu: "50m", memory: "128Mi" }),
    serviceAccount: serviceAccount(MOUNTER_NAME),
    logging: z.strictObject({ level: LogLevel }).prefault({}),
    maxUnavailable: z
      .union([z.int().min(1), z.string().regex(/^\d{1,3}%$/)])
      .default("10%")
      .describe("Nodes whose mounter is renewed at the same time; of a share at least one"),
    ...SCHEDULING,
    nodeSelector: SCHEDULING.nodeSelector
      .unwrap()
      .default({})
      .describe("Labels that nodes must have, beside those of `runtimeClass.nodeSelector`"),
    affinity: SCHEDULING.affinity
      .unwrap()
      .default(REAL_NODES)
      .describe("Affinity, as in a pod; the default leaves out nodes that are none, such as Fargate's"),
    tolerations: SCHEDULING.tolerations
      .unwrap()
      .default([{ operator: "Exists" }])
      .describe("Taints of nodes that do not matter"),
    priorityClassName: SCHEDULING.priorityClassName
      .unwrap()
      .default("system-node-critical")
      .describe("Priority class of the pods; empty = none"),
  })
  .prefault({});

/** Snapshots of containers: the store, and the program on each node that takes and restores them. */
export const SnapshotsConfig = z
  .strictObject({
    enabled: Flag.default(false).describe("Take snapshots of containers, and start sandboxes from them"),
    store: Store,
    restoreFolder: pathOf(variables.ATOLL_RESTORE_FOLDER).describe("Folder on the nodes for what sandboxes start from"),
    restorePort: countOf(variables.ATOLL_RESTORE_PORT).describe(
      "Port of the mounters on the nodes' loopback address, where kubelet asks them",
    ),
    runsc: z
      .strictObject({
        binaryPath: z
          .union([pathOf(variables.ATOLL_RUNSC), z.literal("")])
          .default("")
          .describe("The nodes' runsc; empty = the one that the installer brings"),
        rootDir: pathOf(variables.ATOLL_RUNSC_ROOT).describe(
          "Where the nodes' containerd keeps the state of gVisor's containers",
        ),
      })
      .prefault({}),
    mounter: Mounter,
  })
  .superRefine((config, context) => {
    const fault = (path: readonly string[], message: string): void =>
      context.addIssue({ code: "custom", path: [...path], message });
    const { restoreFolder, mounter, runsc } = config;
    const folders = [restoreFolder, mounter.folder, runsc.rootDir].map((path) => `${path}/`);
    if (folders.some((one, i) => folders.some((other, k) => i !== k && one.startsWith(other)))) {
      fault(["restoreFolder"], "restoreFolder, mounter.folder and runsc.rootDir must not lie in one another");
    }
    const known = Object.keys(mounter.environment).find((name) => name in variables);
    if (known !== undefined) fault(["mounter", "environment"], `${known} has a key of its own`);
    if (config.enabled) storeFaults(config.store.url, (message) => fault(["store", "url"], message));
  })
  .prefault({});

export type SnapshotsConfig = z.output<typeof SnapshotsConfig>;

function storeFaults(url: string, fault: (message: string) => void): void {
  if (url === "") return fault("snapshots need a store: s3://, gs:// or azblob://");
  try {
    if (parseStoreUrl(url).kind === "folder") fault("a folder is of one node; the nodes of a cluster share a bucket");
  } catch (error) {
    fault(error instanceof Error ? error.message : "it cannot be read");
  }
}
