import { isAgentKey } from "#core/agent-proof.ts";
import type { AgentEnvironment } from "./manifest.ts";

type Variables = Readonly<Record<string, string | undefined>>;
/** Reads one variable, undefined when it is not set; throws the words that say what it must be. */
type Reader<T> = (text: string | undefined) => T;

const MIB = 1 << 20;
const LEVELS: readonly AgentEnvironment["ATOLL_LOG_LEVEL"][] = ["debug", "info", "warn", "error"];

const READERS: { readonly [K in keyof AgentEnvironment]: Reader<AgentEnvironment[K]> } = {
  ATOLL_AGENT_ID: text(/^[^]{1,253}$/, "1 to 253 characters"),
  ATOLL_GATEWAY_PUBLIC_KEY: text(/^[A-Za-z0-9_-]{43}$/, "32 bytes as base64url"),
  ATOLL_AGENT_KEY: (key) => (key === undefined || isAgentKey(key) ? key : refuse("32 bytes as base64url")),
  ATOLL_AGENT_LISTEN: text(/^(unix:\/.+|[^/]+:\d{1,5})$/, '"unix:/path" or "host:port"'),
  ATOLL_JOURNAL_DIR: text(/^\//, "an absolute path", "/var/lib/atoll/journal"),
  ATOLL_JOURNAL_BUDGET_BYTES: count(1024 * MIB, MIB, Number.MAX_SAFE_INTEGER),
  ATOLL_MAX_COMMANDS: count(4096, 1, 65_536),
  ATOLL_PIDS_LIMIT: count(0, 0, 4_000_000),
  ATOLL_MAX_STREAMS: count(256, 1, 4096),
  ATOLL_AGENT_LIBRARY: text(/^\//, "an absolute path", "/opt/atoll/libatoll.so"),
  ATOLL_LOG_LEVEL: (level = "info") => LEVELS.find((known) => known === level) ?? refuse(`one of ${LEVELS.join(", ")}`),
};

/** Reads the environment as the schema `AgentEnvironment` does, without building it; throws one error that names all faults. */
export function readEnvironment(variables: Variables): AgentEnvironment {
  const faults: string[] = [];
  const values = Object.entries(READERS).map(([name, read]) => {
    try {
      return [name, read(variables[name])];
    } catch (error) {
      faults.push(`${name} must be ${(error as Error).message}`);
      return [name, undefined];
    }
  });
  if (faults.length > 0) throw new Error(`Cannot read the environment: ${faults.join("; ")}`);
  return Object.fromEntries(values) as AgentEnvironment;
}

function text(pattern: RegExp, words: string, fallback?: string): Reader<string> {
  return (value = fallback) => (value !== undefined && pattern.test(value) ? value : refuse(words));
}

function count(fallback: number, least: number, most: number): Reader<number> {
  return (value) => {
    const number = value === undefined ? fallback : Number(value);
    const isRight = Number.isSafeInteger(number) && number >= least && number <= most;
    return isRight ? number : refuse(`a whole number from ${least} to ${most}`);
  };
}

function refuse(words: string): never {
  throw new RangeError(words);
}
