import { readFile } from "node:fs/promises";
import type { Variables } from "#api/environment.ts";
import { keepCredentials } from "#core/kubernetes/node/keep-credentials.ts";
import type { KubeAccess } from "#core/kubernetes/node/kube-fetch.ts";

/** Where the kubelet puts a pod's account; it renews the token there. */
const ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The API server of the cluster that this pod belongs to, by what the kubelet tells each container. */
export function podAccount(variables: Variables): KubeAccess {
  const host = variables["KUBERNETES_SERVICE_HOST"] ?? "";
  if (host === "") throw new RangeError("Cannot find the cluster: this program runs in a pod");
  const authority = host.includes(":") ? `[${host}]` : host;
  return {
    server: `https://${authority}:${variables["KUBERNETES_SERVICE_PORT"] ?? "443"}`,
    credentials: keepCredentials(async () => {
      const [token, ca] = await Promise.all([
        readFile(`${ACCOUNT_DIR}/token`, "utf8"),
        readFile(`${ACCOUNT_DIR}/ca.crt`),
      ]);
      return { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } };
    }),
  };
}
