import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from "@grpc/grpc-js";
import engineRpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engine from "@pulumi/pulumi/proto/engine_pb.js";
import resourceRpc from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import resource from "@pulumi/pulumi/proto/resource_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct, { type JavaScriptValue } from "google-protobuf/google/protobuf/struct_pb.js";
import { plainProperties } from "./property-value.ts";
import type { Register, Registration } from "./registration.ts";

export interface Monitor {
  readonly address: string;
  /** What the program logged, warnings and errors. */
  readonly messages: string[];
  stop(): void;
}

type Unary<In, Out> = (call: ServerUnaryCall<In, Out>, answer: sendUnaryData<Out>) => void;

/** The features that the engine offers to programs. */
const FEATURES = resource.ResourceMonitorFeature;
const OFFERED = [
  FEATURES.RESOURCE_MONITOR_FEATURE_SECRETS,
  FEATURES.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
  FEATURES.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
];

/** The two services that a Pulumi program speaks to: it registers resources, and it logs. */
export async function startMonitor(stackUrn: string, register: Register): Promise<Monitor> {
  const messages: string[] = [];
  const server = new Server();
  server.addService(resourceRpc.ResourceMonitorService, monitorHandlers(stackUrn, register));
  server.addService(engineRpc.EngineService, engineHandlers(stackUrn, messages));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  return { address: `127.0.0.1:${port}`, messages, stop: () => server.forceShutdown() };
}

function monitorHandlers(stackUrn: string, register: Register) {
  return {
    getDeploymentInfo: unary(() => {
      const info = new resource.DeploymentInfo();
      info.setSupportedfeaturesList(OFFERED);
      return info;
    }),
    supportsFeature: unary((request: resource.SupportsFeatureRequest) => {
      const answer = new resource.SupportsFeatureResponse();
      answer.setHassupport(["secrets", "deletedWith", "aliasSpecs"].includes(request.getId()));
      return answer;
    }),
    registerResource: unary(async (request: resource.RegisterResourceRequest) => {
      const registration = registrationOf(stackUrn, request);
      const state = await register(registration);
      const answer = new resource.RegisterResourceResponse();
      answer.setUrn(registration.urn);
      if (registration.custom) answer.setId(registration.name);
      answer.setObject(struct.Struct.fromJavaScript(state as Record<string, JavaScriptValue>));
      return answer;
    }),
    registerResourceOutputs: unary(() => new empty.Empty()),
    registerPackage: unary(() => {
      const answer = new resource.RegisterPackageResponse();
      answer.setRef("kubernetes");
      return answer;
    }),
    signalAndWaitForShutdown: unary(() => new empty.Empty()),
  };
}

function engineHandlers(stackUrn: string, messages: string[]) {
  return {
    log: unary((request: engine.LogRequest) => {
      if (request.getSeverity() >= engine.LogSeverity.WARNING) messages.push(request.getMessage());
      return new empty.Empty();
    }),
    getRootResource: unary(() => {
      const answer = new engine.GetRootResourceResponse();
      answer.setUrn(stackUrn);
      return answer;
    }),
    setRootResource: unary(() => new engine.SetRootResourceResponse()),
  };
}

function unary<In, Out>(handle: (request: In) => Out | Promise<Out>): Unary<In, Out> {
  return async (call, answer) => {
    try {
      answer(null, await handle(call.request));
    } catch (error) {
      answer({ code: 2, details: error instanceof Error ? error.message : String(error) });
    }
  };
}

/** What a request to register a resource says. */
export function registrationOf(stackUrn: string, request: resource.RegisterResourceRequest): Registration {
  const { value, secrets } = plainProperties(request.getObject()?.toJavaScript() ?? {});
  const type = request.getType();
  const name = request.getName();
  return {
    urn: type === "pulumi:pulumi:Stack" ? stackUrn : urnOf(request.getParent() || stackUrn, type, name),
    type,
    name,
    custom: request.getCustom(),
    inputs: value,
    secrets,
    dependencies: request.getDependenciesList(),
    parent: request.getParent(),
    provider: request.getProvider(),
    retainOnDelete: request.getRetainondelete() ?? false,
    ignoreChanges: request.getIgnorechangesList(),
    replaceOnChanges: request.getReplaceonchangesList(),
    deleteBeforeReplace: request.getDeletebeforereplace() ?? false,
    deleteTimeout: request.getCustomtimeouts()?.getDelete() ?? "",
    updateTimeout: request.getCustomtimeouts()?.getUpdate() ?? "",
  };
}

/** The name by which the engine knows a resource: `urn:pulumi:STACK::PROJECT::PARENT-TYPES$TYPE::NAME`; the stack itself is no parent type. */
export function urnOf(parent: string, type: string, name: string): string {
  const [stack, project, parentTypes = ""] = parent.split("::");
  const types = parentTypes === "pulumi:pulumi:Stack" ? type : `${parentTypes}$${type}`;
  return [stack, project, types, name].join("::");
}
