import { readFile } from "node:fs/promises";
import { keepCredentials } from "./keep-credentials.ts";
import type { KubeAccess, KubeCredentials } from "./kube-fetch.ts";

/** Where kubelet puts a pod's account; it renews the token there. */
const ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";

/** How a program in a pod reaches its cluster, by what kubelet tells each container; undefined = this is no pod. */
export function podAccess(env: Readonly<Record<string, string | undefined>>): KubeAccess | undefined {
  const host = env["KUBERNETES_SERVICE_HOST"];
  if (host === undefined || host === "") return undefined;
  const authority = host.includes(":") ? `[${host}]` : host;
  return {
    server: `https://${authority}:${env["KUBERNETES_SERVICE_PORT"] ?? "443"}`,
    credentials: keepCredentials(readAccount),
  };
}

async function readAccount(): Promise<KubeCredentials> {
  const [token, ca] = await Promise.all([readFile(`${ACCOUNT_DIR}/token`, "utf8"), readFile(`${ACCOUNT_DIR}/ca.crt`)]);
  return { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } };
}
