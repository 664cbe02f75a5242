import { decodeMessage, encodeMessage } from "./protobuf.ts";
import type { CgroupDriver } from "./runsc-config.ts";

/** Calls of the interface between kubelet and containerd (`runtime.v1`), as far as they are needed here. */
export const CRI = {
  status: "/runtime.v1.RuntimeService/Status",
  runPodSandbox: "/runtime.v1.RuntimeService/RunPodSandbox",
  stopPodSandbox: "/runtime.v1.RuntimeService/StopPodSandbox",
  removePodSandbox: "/runtime.v1.RuntimeService/RemovePodSandbox",
} as const;

/** What containerd says of itself. */
export interface CriStatus {
  readonly isNetworkReady: boolean;
  /** Runtimes as they are loaded, by handler. */
  readonly runtimes: Readonly<Record<string, unknown>>;
}

export function statusRequest(): Uint8Array<ArrayBuffer> {
  return encodeMessage([[1, 1]]);
}

/** Reads StatusResponse: the conditions, and the configuration that a verbose answer holds as JSON. */
export function parseStatus(bytes: Uint8Array): CriStatus {
  const text = (value: number | Uint8Array | undefined): string =>
    typeof value === "object" ? new TextDecoder().decode(value) : "";
  let isNetworkReady = false;
  let runtimes = {};
  for (const [field, value] of decodeMessage(bytes)) {
    if (typeof value === "number") continue;
    if (field === 1) {
      for (const [, condition] of decodeMessage(value)) {
        if (typeof condition === "number") continue;
        const parts = new Map(decodeMessage(condition));
        if (text(parts.get(1)) === "NetworkReady") isNetworkReady = parts.get(2) === 1;
      }
    }
    if (field === 2) {
      const entry = new Map(decodeMessage(value));
      if (text(entry.get(1)) === "config") runtimes = runtimesOfConfig(text(entry.get(2)));
    }
  }
  return { isNetworkReady, runtimes };
}

/** A pod without containers, which is all that shows whether a runtime starts. */
export function runPodSandboxRequest(options: {
  readonly handler: string;
  /** Makes the pod one of its own. */
  readonly id: string;
  readonly cgroupDriver: CgroupDriver;
}): Uint8Array<ArrayBuffer> {
  const metadata = encodeMessage([
    [1, "atoll-gvisor-trial"],
    [2, options.id],
    [3, "atoll-system"],
  ]);
  const linux = encodeMessage([[1, options.cgroupDriver === "systemd" ? "/system.slice" : "/"]]);
  const config = encodeMessage([
    [1, metadata],
    [2, "atoll-gvisor-trial"],
    [3, "/tmp"],
    [8, linux],
  ]);
  return encodeMessage([
    [1, config],
    [2, options.handler],
  ]);
}

/** RunPodSandboxResponse: the pod's id. */
export function parsePodSandboxId(bytes: Uint8Array): string {
  const id = new Map(decodeMessage(bytes)).get(1);
  return typeof id === "object" ? new TextDecoder().decode(id) : "";
}

/** StopPodSandboxRequest and RemovePodSandboxRequest. */
export function podSandboxRequest(id: string): Uint8Array<ArrayBuffer> {
  return encodeMessage([[1, id]]);
}

function runtimesOfConfig(json: string): object {
  const config: unknown = JSON.parse(json);
  const of = (value: unknown, key: string): unknown =>
    typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
  const runtimes = of(of(config, "containerd"), "runtimes");
  return typeof runtimes === "object" && runtimes !== null ? runtimes : {};
}
