import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { keepCredentials } from "#core/kubernetes/node/keep-credentials.ts";
import type { KubeAccess, KubeCredentials } from "#core/kubernetes/node/kube-fetch.ts";
import { podAccess } from "#core/kubernetes/node/pod-access.ts";
import { readKubeconfig, type KubeContext, type Material } from "../kubeconfig.ts";

export interface AccessOptions {
  /** Path of a kubeconfig; absent = the account of the pod that this program runs in. */
  readonly kubeconfig?: string | undefined;
  /** What kubelet tells each container of its cluster. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** How this program reaches its cluster. Files are read again while it runs, as they may be renewed. */
export async function findClusterAccess({ kubeconfig, env }: AccessOptions): Promise<KubeAccess> {
  if (kubeconfig !== undefined) return kubeconfigAccess(kubeconfig);
  const access = podAccess(env);
  if (access === undefined)
    throw new RangeError("Cannot find the cluster: outside of a pod, set ATOLL_KUBECONFIG to a kubeconfig");
  return access;
}

async function kubeconfigAccess(path: string): Promise<KubeAccess> {
  const { server } = await readContext(path);
  return { server, credentials: keepCredentials(async () => credentialsOf(await readContext(path), dirname(path))) };
}

async function readContext(path: string): Promise<KubeContext> {
  return readKubeconfig(parse(await readFile(path, "utf8")));
}

async function credentialsOf(context: KubeContext, directory: string): Promise<KubeCredentials> {
  const load = async (material: Material | undefined) => {
    if (material === undefined) return undefined;
    return material.kind === "inline"
      ? Buffer.from(material.base64, "base64")
      : readFile(resolve(directory, material.path));
  };
  const { token, isInsecure, serverName } = context;
  const [ca, cert, key] = await Promise.all([context.authority, context.certificate, context.key].map(load));
  const text = token?.kind === "file" ? (await readFile(resolve(directory, token.path), "utf8")).trim() : token?.text;
  return {
    headers: text === undefined ? {} : { authorization: `Bearer ${text}` },
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...(isInsecure ? { rejectUnauthorized: false } : {}),
    },
  };
}
