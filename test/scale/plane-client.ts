import type { KubeCall, KubeClient } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { keepCredentials } from "#core/kubernetes/node/keep-credentials.ts";
import { createKubeFetch } from "#core/kubernetes/node/kube-fetch.ts";
import type { ControlPlane, User } from "./control-plane.ts";

const CALL_MS = 60_000;

/** How long a call to a control plane under load may take. */
export function call(): KubeCall {
  return { signal: AbortSignal.timeout(CALL_MS) };
}

/** A client under one of the control plane's names. */
export function planeClient(plane: ControlPlane, user: User): KubeClient {
  const headers = { authorization: `Bearer ${plane.token(user)}` };
  const credentials = keepCredentials(async () => ({ headers, tls: { rejectUnauthorized: false } }));
  return createKubeClient(createKubeFetch({ server: plane.server, credentials }, { userAgent: user }));
}
