import { GVISOR_ANNOTATION_PREFIX } from "#core/kubernetes/names.ts";

/** Configuration versions of containerd that have a plugin for the kubelet's interface. */
export const CONFIG_VERSIONS = [2, 3, 4] as const;
export type ConfigVersion = (typeof CONFIG_VERSIONS)[number];

/** What containerd is told of gVisor. */
export interface RuntimeSettings {
  /** Name that a RuntimeClass calls it by. */
  readonly handler: string;
  /** Absolute paths on the node. */
  readonly shimPath: string;
  readonly runscConfigPath: string;
}

export const RUNTIME_TYPE = "io.containerd.runsc.v1";
export const OPTIONS_TYPE_URL = "io.containerd.runsc.v1.options";
export const PASSED_ANNOTATIONS = `${GVISOR_ANNOTATION_PREFIX}*`;

/** Plugin that holds the runtimes: from version 3 on its parts have names of their own. */
export function runtimePlugin(version: ConfigVersion): string {
  return version === 2 ? "io.containerd.grpc.v1.cri" : "io.containerd.cri.v1.runtime";
}

/** The section as an object, as a parser gives it. */
export function runtimeTable({ shimPath, runscConfigPath }: RuntimeSettings): RuntimeTable {
  return {
    runtime_type: RUNTIME_TYPE,
    runtime_path: shimPath,
    pod_annotations: [PASSED_ANNOTATIONS],
    container_annotations: [PASSED_ANNOTATIONS],
    options: { TypeUrl: OPTIONS_TYPE_URL, ConfigPath: runscConfigPath },
  };
}

export interface RuntimeTable {
  readonly runtime_type: string;
  readonly runtime_path: string;
  readonly pod_annotations: readonly string[];
  readonly container_annotations: readonly string[];
  readonly options: { readonly TypeUrl: string; readonly ConfigPath: string };
}

/** The section as text. */
export function renderRuntimeSection(version: ConfigVersion, settings: RuntimeSettings): string {
  const { options, ...own } = runtimeTable(settings);
  const table = `plugins.${JSON.stringify(runtimePlugin(version))}.containerd.runtimes.${settings.handler}`;
  const lines = (values: object): string[] =>
    Object.entries(values).map(([key, value]) => `  ${key} = ${JSON.stringify(value)}`);
  return [`[${table}]`, ...lines(own), `[${table}.options]`, ...lines(options), ""].join("\n");
}
