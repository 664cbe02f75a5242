import type { KubeConfig } from "@kubernetes/client-node";
import type { KubeFetch } from "#core/kubernetes/client.ts";
import type { CredentialsOptions } from "#core/kubernetes/node/keep-credentials.ts";
import * as transport from "#core/kubernetes/node/kube-fetch.ts";
import { createCredentials } from "./kube-credentials.ts";

export interface KubeFetchOptions extends CredentialsOptions, Partial<transport.KubeFetchOptions> {}

/** The way to the API server that a kubeconfig names. */
export function createKubeFetch(config: KubeConfig, options: KubeFetchOptions = {}): KubeFetch {
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) throw new RangeError("The kubeconfig's current context names no cluster");
  const credentials = createCredentials(config, options);
  return transport.createKubeFetch({ server, credentials }, { userAgent: "atoll-operator", ...options });
}
