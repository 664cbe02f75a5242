import type { KubeConfig } from "@kubernetes/client-node";
import type { KubeFetch } from "#core/kubernetes/client.ts";
import { createKubeFetch } from "./kube-fetch.ts";

/** One call at a time; a second connection is for the one that follows a call that hangs. */
const LEASE_CONNECTIONS = 2;

/** The operator's ways to its API server. */
export interface ApiServerWays {
  readonly work: KubeFetch;
  /** With connections of its own: a lease that waits behind the work is a lease that is lost. */
  readonly lease: KubeFetch;
}

export function createApiServerWays(config: KubeConfig, userAgent: string): ApiServerWays {
  return {
    work: createKubeFetch(config, { userAgent }),
    lease: createKubeFetch(config, { userAgent, maxConnections: LEASE_CONNECTIONS }),
  };
}
