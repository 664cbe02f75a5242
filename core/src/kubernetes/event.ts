import type { KubeObject } from "./object.ts";

/** Which object something speaks of. */
export interface ObjectReference {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** `events.k8s.io/v1` Event. */
export interface KubeEvent extends KubeObject {
  /** RFC 3339 with microseconds. */
  readonly eventTime: string;
  readonly type: "Normal" | "Warning";
  /** A CamelCase code. */
  readonly reason: string;
  /** What was done, a CamelCase verb. */
  readonly action: string;
  /** One sentence, at most 1024 bytes. */
  readonly note?: string;
  readonly regarding: ObjectReference;
  readonly related?: ObjectReference;
  /** `domain/name` of the program that reports. */
  readonly reportingController: string;
  readonly reportingInstance: string;
  readonly series?: { readonly count: number; readonly lastObservedTime: string };
}
