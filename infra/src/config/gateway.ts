import * as z from "zod";
import { GATEWAY_NAME } from "#core/kubernetes/names.ts";
import { GatewayEnvironment } from "#runtime/manifest.ts";
import {
  countOf,
  Flag,
  LogLevel,
  metrics,
  NodePort,
  ObjectName,
  Port,
  resources,
  serviceAccount,
  ServiceType,
  TextMap,
} from "./fields.ts";
import { image } from "./image.ts";
import { PodDisruptionBudget, SCHEDULING } from "./scheduling.ts";

const Autoscaling = z
  .strictObject({
    enabled: Flag.default(false).describe("Let a HorizontalPodAutoscaler choose the replicas"),
    minReplicas: z.int().min(1).default(2).describe("Fewest pods"),
    maxReplicas: z.int().min(1).default(10).describe("Most pods"),
    targetCpuPercent: z.int().min(1).max(1000).default(70).describe("Use of the requested processors it aims at"),
  })
  .refine(({ minReplicas, maxReplicas }) => minReplicas <= maxReplicas, "minReplicas is greater than maxReplicas")
  .prefault({});

const Service = z
  .strictObject({
    type: ServiceType.default("ClusterIP").describe("Type of the gateway's Service"),
    port: Port.default(80).describe("Its port"),
    nodePort: NodePort,
    annotations: TextMap.describe("Its annotations, such as those of a cloud's load balancer"),
    loadBalancerClass: z.string().default("").describe("Who makes the load balancer; empty = the cluster's default"),
    loadBalancerSourceRanges: z
      .array(z.string())
      .default([])
      .describe("Clients that the load balancer lets in; empty = all"),
  })
  .prefault({});

const Ingress = z
  .strictObject({
    enabled: Flag.default(false).describe("Make an Ingress"),
    className: z.string().default("").describe("Ingress class; empty = the cluster's default"),
    hosts: z.array(z.string().min(1)).default([]).describe("Names under which the gateway is reached"),
    annotations: TextMap.describe("Annotations; buffering of responses must be off, or streams stall"),
    tlsSecret: z
      .string()
      .default("")
      .describe("Secret with the certificate for these names; empty = no TLS at the Ingress"),
  })
  .refine(({ enabled, hosts }) => !enabled || hosts.length > 0, "an Ingress needs at least one of hosts")
  .prefault({});

const Auth = z
  .strictObject({
    existingSecret: z
      .string()
      .default("")
      .describe("Secret in the system namespace that holds the API keys; wins over `apiKeys`"),
    existingSecretKey: z.string().min(1).default("api-keys").describe("Its key: one API key a line"),
    insecureNoAuth: Flag.default(false).describe(
      "Serve without API keys: whoever reaches the gateway controls every sandbox",
    ),
    allowedHosts: z
      .array(z.string())
      .default([])
      .describe("Names by which a gateway without API keys may be addressed"),
  })
  .prefault({});

const variables = GatewayEnvironment.shape;

/** The gateway: the REST API. */
export const GatewayConfig = z
  .strictObject({
    enabled: Flag.default(true).describe("Install the gateway"),
    name: ObjectName.default(GATEWAY_NAME).describe(
      "Name of the Deployment, of the Service and of what belongs to them",
    ),
    image: image("atoll-gateway"),
    sandboxNamespace: z
      .string()
      .default("")
      .describe("Namespace whose sandboxes it serves; empty = the first of `sandboxNamespaces`"),
    replicas: z.int().min(1).default(1).describe("Pods; not used with autoscaling"),
    autoscaling: Autoscaling,
    podDisruptionBudget: PodDisruptionBudget,
    resources: resources({ cpu: "50m", memory: "128Mi" }),
    serviceAccount: serviceAccount(GATEWAY_NAME),
    logging: z.strictObject({ level: LogLevel }).prefault({}),
    service: Service,
    ingress: Ingress,
    auth: Auth,
    metrics: metrics(),
    createWaitMs: countOf(variables.ATOLL_CREATE_WAIT_MS).describe("Longest time that a create waits for Running"),
    maxStreams: countOf(variables.ATOLL_MAX_STREAMS).describe("Streams at once, for each pod of the gateway"),
    maxStreamsPerSandbox: countOf(variables.ATOLL_MAX_STREAMS_PER_SANDBOX).describe("The same of one sandbox"),
    ...SCHEDULING,
  })
  .prefault({});

export type GatewayConfig = z.output<typeof GatewayConfig>;
