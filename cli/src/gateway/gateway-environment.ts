import { listenOf, readEnvironment, type Listen } from "#runtime/manifest.ts";
import { Fault } from "../fault.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What the options of `up` decide; what is absent stays as the environment says. */
export interface GatewayOptions {
  readonly home: string;
  readonly listen?: string | undefined;
  readonly port?: number | undefined;
  readonly insecure: boolean;
  /** Hash of the key by which this program itself is let in, where keys are asked for. */
  readonly keyHash?: string | undefined;
}

const DEFAULT_LISTEN = "127.0.0.1:8080";

/** The environment of the gateway and where it will listen; a Fault when the gateway would refuse it. */
export function gatewayEnvironment(base: Environment, options: GatewayOptions): { env: Environment; listen: Listen } {
  const given = listenOf(parse({ ATOLL_LISTEN: base["ATOLL_LISTEN"], ATOLL_INSECURE_NO_AUTH: "true" }, DEFAULT_LISTEN));
  const hostname = options.listen ?? given.hostname;
  const port = options.port ?? given.port;
  const hashes = base["ATOLL_API_KEY_HASHES"] ?? "";
  const asksForKeys = hashes.trim() !== "";
  const env = {
    ...base,
    ATOLL_BACKEND: "local",
    ATOLL_HOME: options.home,
    ATOLL_LISTEN: `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`,
    ...(options.insecure ? { ATOLL_INSECURE_NO_AUTH: "true" } : {}),
    ...(asksForKeys && options.keyHash !== undefined ? { ATOLL_API_KEY_HASHES: `${hashes},${options.keyHash}` } : {}),
  };
  parse(env, DEFAULT_LISTEN);
  return { env, listen: { hostname, port } };
}

function parse(env: Environment, listen: string): ReturnType<typeof readEnvironment> {
  try {
    return readEnvironment({ ...env, ATOLL_LISTEN: env["ATOLL_LISTEN"] || listen });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new Fault(text.charAt(0).toLowerCase() + text.slice(1), { cause: error });
  }
}
