import type { KubeConfig } from "@kubernetes/client-node";
import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { keepCredentials, type CredentialsOptions } from "#core/kubernetes/node/keep-credentials.ts";
import type { CredentialsSource, KubeCredentials } from "#core/kubernetes/node/kube-fetch.ts";

/**
 * Credentials of all kinds that kubeconfig knows: certificates, tokens, token files that somebody
 * rotates, plugins.
 */
export function createCredentials(config: KubeConfig, options?: CredentialsOptions): CredentialsSource {
  return keepCredentials(() => read(config), options);
}

async function read(config: KubeConfig): Promise<KubeCredentials> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { ca, cert, key, servername, rejectUnauthorized, auth } = options;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value);
  if (typeof auth === "string") headers["authorization"] = `Basic ${Buffer.from(auth).toString("base64")}`;
  const token = await readTokenFile(config);
  if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
  const isProxied = config.getCurrentCluster()?.proxyUrl !== undefined;
  return {
    headers,
    tls: Object.fromEntries(
      Object.entries({ ca, cert, key, servername, rejectUnauthorized }).filter(([, value]) => value !== undefined),
    ),
    ...(isProxied && typeof options.agent === "object" ? { proxy: options.agent } : {}),
  };
}

/** The library keeps a token file's content for a minute, longer than a withdrawn token should be used. */
async function readTokenFile(config: KubeConfig): Promise<string | undefined> {
  const path: unknown = config.getCurrentUser()?.authProvider?.config?.["tokenFile"];
  if (typeof path !== "string") return undefined;
  return (await readFile(path, "utf8")).trim();
}
