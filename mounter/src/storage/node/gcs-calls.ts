import * as z from "zod";
import { untilAborted } from "../until-aborted.ts";
import type { StoreCredentials } from "../store-credentials.ts";
import { StoreError } from "../store-error.ts";
import { readCredentialValues } from "./credential-values.ts";
import { callHttp, readText, type HttpAnswer, type HttpCall } from "./http-call.ts";
import { codeOf, isOwnFault, storeFault } from "./http-fault.ts";
import type { StallAgents } from "./stall-agents.ts";

const GOOGLE = "https://storage.googleapis.com";
const SCOPE = "https://www.googleapis.com/auth/devstorage.read_write";
const MOST_ANSWER_BYTES = 16 << 20;

export interface GcsCall extends Omit<HttpCall, "url" | "headers"> {
  /** Begins the sentence of a failure. */
  readonly what: string;
  /** Below the endpoint, with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses that are no failure, beside those of 2xx. */
  readonly also?: readonly number[];
}

/** Requests to the JSON API of Google Cloud Storage, or of what speaks the same. */
export interface GcsCalls {
  open(call: GcsCall, signal: AbortSignal): Promise<HttpAnswer>;
  /** The same, with the whole answer as text. */
  text(call: GcsCall, signal: AbortSignal): Promise<Omit<HttpAnswer, "body"> & { readonly text: string }>;
  json<Schema extends z.ZodType>(call: GcsCall, schema: Schema, signal: AbortSignal): Promise<z.infer<Schema>>;
  translate(what: string, error: unknown, signal: AbortSignal): unknown;
}

type Headers = (url: URL) => Promise<Readonly<Record<string, string>>>;

export async function createGcsCalls(
  {
    endpoint = GOOGLE,
    credentials,
  }: { readonly endpoint?: string | undefined; readonly credentials: StoreCredentials },
  agents: StallAgents,
): Promise<GcsCalls> {
  const authorize = await authorization(credentials);
  const open = async (
    { what, path, headers, also = [], ...call }: GcsCall,
    signal: AbortSignal,
  ): Promise<HttpAnswer> => {
    const url = new URL(endpoint + path);
    let answer: HttpAnswer;
    try {
      const own = await untilAborted(authorize(url), signal);
      answer = await callHttp({ ...call, url, headers: { ...headers, ...own } }, agents, signal);
    } catch (error) {
      throw translate(what, error, signal);
    }
    if ((answer.status >= 200 && answer.status < 300) || also.includes(answer.status)) return answer;
    const code = reasonOf(await readText(answer.body, MOST_ANSWER_BYTES).catch(() => ""));
    throw storeFault(what, { status: answer.status, code, retryAfter: answer.header("retry-after") });
  };
  const text: GcsCalls["text"] = async (call, signal) => {
    const { body, ...answer } = await open(call, signal);
    try {
      return { ...answer, text: await readText(body, MOST_ANSWER_BYTES) };
    } catch (error) {
      throw translate(call.what, error, signal);
    }
  };
  return {
    open,
    text,
    json: async (call, schema, signal) => readJson(call.what, (await text(call, signal)).text, schema),
    translate,
  };
}

/** Google's answers as JSON; anything else in their place is an answer that was damaged. */
export function readJson<Schema extends z.ZodType>(what: string, text: string, schema: Schema): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw new StoreError("unavailable", `${what}: the store's answer is not as it should be.`);
  }
}

async function authorization(credentials: StoreCredentials): Promise<Headers> {
  if (credentials.kind === "none") return async () => ({});
  const { GoogleAuth } = await import("google-auth-library");
  const given =
    credentials.kind === "identity"
      ? {}
      : {
          credentials: readKey(
            (await readCredentialValues(credentials, { needed: ["GOOGLE_CREDENTIALS"] })).GOOGLE_CREDENTIALS,
          ),
        };
  const auth = new GoogleAuth({ scopes: [SCOPE], ...given });
  return async (url) => {
    try {
      const headers = await auth.getRequestHeaders(url.href);
      return Object.fromEntries(headers.entries());
    } catch (error) {
      throw tokenFault(error);
    }
  };
}

function readKey(text: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    throw new StoreError(
      "denied",
      "Cannot use the store's credentials: GOOGLE_CREDENTIALS has to be the JSON text of a key.",
    );
  }
}

/** A token server that is overloaded or away is asked again; one that refuses is not. */
function tokenFault(error: unknown): StoreError {
  const { status } = error as { status?: number };
  const code = codeOf(error);
  const isPassing = (status !== undefined && (status === 429 || status >= 500)) || /^E[A-Z_]+$/.test(code ?? "");
  if (isPassing) return storeFault("Cannot get a token for the store", { status, code });
  return new StoreError(
    "denied",
    "Cannot get a token for the store: give this process a workload identity, or a key as GOOGLE_CREDENTIALS.",
  );
}

function translate(what: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  return error instanceof StoreError || isOwnFault(error) ? error : storeFault(what, { code: codeOf(error) });
}

const Refusal = z.object({ error: z.object({ errors: z.array(z.object({ reason: z.string() })).min(1) }) });

function reasonOf(text: string): string | undefined {
  try {
    const reason = Refusal.parse(JSON.parse(text)).error.errors[0]?.reason;
    return reason !== undefined && /^[A-Za-z]{1,60}$/.test(reason) ? reason : undefined;
  } catch {
    return undefined;
  }
}
