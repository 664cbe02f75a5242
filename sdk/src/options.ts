import { environmentVariable } from "./environment.ts";

export interface ClientOptions {
  /** Where the server is; default: ATOLL_URL, then ISOLA_URL of the environment. A path prefix is kept. */
  readonly url?: string | undefined;
  /** Sent as a bearer token; default: ATOLL_API_KEY of the environment, else none is sent. */
  readonly apiKey?: string | undefined;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Replaces the runtime's own `fetch`. */
  readonly fetch?: typeof fetch | undefined;
  /**
   * Longest time without progress of one attempt, in milliseconds: until the answer to a
   * small request is read, or between two pieces of a long one. Default 30 000.
   */
  readonly requestTimeoutMs?: number | undefined;
  /** How often a request that can be repeated safely is repeated after a transient fault. Default 5. */
  readonly maxRetries?: number | undefined;
}

/** What each call accepts besides its own options. */
export interface CallOptions {
  /** Ends the wait; the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Longest time of the whole call, retries included, in milliseconds; then it rejects with a TimeoutError. */
  readonly timeoutMs?: number | undefined;
}

export interface ClientConfig {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof fetch;
  readonly requestTimeoutMs: number;
  readonly maxRetries: number;
}

/** The options with defaults and the environment applied; a fault is a plain Error. */
export function resolveOptions(options: ClientOptions): ClientConfig {
  const apiKey = options.apiKey ?? environmentVariable("ATOLL_API_KEY");
  return {
    url: baseUrl(options.url ?? environmentVariable("ATOLL_URL") ?? environmentVariable("ISOLA_URL")),
    headers: {
      ...options.headers,
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    },
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    requestTimeoutMs: positive("requestTimeoutMs", options.requestTimeoutMs ?? 30_000),
    maxRetries: count("maxRetries", options.maxRetries ?? 5),
  };
}

function baseUrl(given: string | undefined): string {
  const url = given?.trim().replace(/\/+$/, "") ?? "";
  if (url === "") throw new Error("The client needs the option `url` or the environment variable ATOLL_URL.");
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
    throw new Error(`The option \`url\` must be an http or https address, not "${url}".`);
  }
  return url;
}

function positive(name: string, value: number): number {
  if (!(value > 0)) throw new Error(`The option \`${name}\` must be more than 0, not ${value}.`);
  return value;
}

function count(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 0) {
    throw new Error(`The option \`${name}\` must be a whole number from 0, not ${value}.`);
  }
  return value;
}
