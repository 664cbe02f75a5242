import type { KubeConfig } from "@kubernetes/client-node";
import { readFile } from "node:fs/promises";
import type { AgentOptions, RequestOptions } from "node:https";
import type { Agent } from "node:http";

/** What makes a request this program's own. */
export interface KubeCredentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: AgentOptions;
  /** Of the configuration, where requests go through a proxy: it is used as it is. */
  readonly proxy?: Agent;
}

export interface CredentialsSource {
  get(): Promise<KubeCredentials>;
  /** The API server no longer takes them: the next `get` reads anew. */
  expire(): void;
}

export interface CredentialsOptions {
  /** For how long credentials are used before they are read again. @default 10_000 */
  readonly refreshMs?: number;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
}

/**
 * Credentials of all kinds that kubeconfig knows: certificates, tokens, token files that somebody
 * rotates, plugins. Reading them means files and processes, so they are kept for a while.
 */
export function createCredentials(config: KubeConfig, options: CredentialsOptions = {}): CredentialsSource {
  const { refreshMs = 10_000, now = () => performance.now() } = options;
  let kept: Promise<KubeCredentials> | undefined;
  let untilMs = 0;

  return {
    get() {
      if (kept === undefined || now() >= untilMs) {
        const reading = read(config);
        kept = reading;
        untilMs = now() + refreshMs;
        // What failed is not kept; whoever waits for it learns why.
        reading.catch(() => {
          if (kept === reading) kept = undefined;
        });
      }
      return kept;
    },
    expire() {
      kept = undefined;
    },
  };
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
