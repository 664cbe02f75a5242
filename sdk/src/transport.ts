import { openScope, sleep, type Scope } from "./deadline.ts";
import { AtollError, ConnectionError, TimeoutError } from "./errors.ts";
import type { ClientConfig } from "./options.ts";
import { readRefusal } from "./refusal.ts";
import { isTransient, retryDelayMs } from "./retry.ts";
import { createWatchdog, type Watchdog } from "./watchdog.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** Absolute, already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  /** True when sending it twice has the effect of sending it once. */
  readonly repeatable: boolean;
  /** Added to the time allowed without progress: for a server that is asked to wait, or a large body. */
  readonly extraTimeMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export type RequestBody =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array<ArrayBuffer> | Blob | string }
  | { readonly kind: "stream"; readonly open: (watchdog: Watchdog) => UploadStream };

/** A streamed body; `fault` is what its source failed with, if it did. */
export interface UploadStream {
  readonly stream: ReadableStream<Uint8Array>;
  readonly fault: () => unknown;
}

/** Reads an answer; the watchdog is armed and must be armed again with each progress. */
export type ReadResponse<T> = (response: Response, watchdog: Watchdog) => Promise<T>;

/** An answer whose body the caller reads at its own pace; `close` ends the exchange. */
export interface OpenResponse {
  readonly response: Response;
  readonly watchdog: Watchdog;
  close(): void;
  /** The error to report for a fault met while reading the body. */
  translate(error: unknown): unknown;
}

export interface Transport {
  readonly maxRetries: number;
  /** Sends, checks the status, reads the answer; repeats after transient faults if the request allows it. */
  send<T>(request: HttpRequest, read: ReadResponse<T>): Promise<T>;
  /** One attempt; resolves at the headers of a good answer. */
  open(request: HttpRequest): Promise<OpenResponse>;
}

export function createTransport(config: ClientConfig): Transport {
  async function open(request: HttpRequest): Promise<OpenResponse> {
    const scope = openScope(request.signal);
    const limitMs = config.requestTimeoutMs + (request.extraTimeMs ?? 0);
    const watchdog = createWatchdog(limitMs, () => scope.abort(stalled(request, limitMs)));
    const upload = request.body?.kind === "stream" ? request.body.open(watchdog) : undefined;
    const close = (): void => {
      watchdog.stop();
      scope.close();
    };
    const translate = (error: unknown): unknown => translateFault(request, scope, upload, error);
    watchdog.arm();
    try {
      const response = await config.fetch(config.url + request.path + queryString(request.query), {
        method: request.method,
        headers: { ...config.headers, ...request.headers },
        signal: scope.signal,
        // A redirect would turn a POST into a GET, and count as success.
        redirect: "manual",
        ...bodyInit(request.body, upload),
      });
      if (!response.ok) throw await readRefusal(request, response);
      return { response, watchdog, close, translate };
    } catch (error) {
      close();
      throw translate(error);
    }
  }

  async function attempt<T>(request: HttpRequest, read: ReadResponse<T>): Promise<T> {
    const opened = await open(request);
    try {
      opened.watchdog.arm();
      return await read(opened.response, opened.watchdog);
    } catch (error) {
      throw opened.translate(error);
    } finally {
      opened.close();
    }
  }

  async function send<T>(request: HttpRequest, read: ReadResponse<T>): Promise<T> {
    for (let failures = 0; ; failures++) {
      request.signal?.throwIfAborted();
      try {
        return await attempt(request, read);
      } catch (error) {
        const again = request.repeatable && failures < config.maxRetries && isTransient(error);
        if (!again || request.signal?.aborted) throw error;
        await sleep(retryDelayMs(failures, error), request.signal);
      }
    }
  }

  return { maxRetries: config.maxRetries, send, open };
}

/** For answers without content; a body that comes all the same is dropped. */
export async function expectNothing(response: Response): Promise<void> {
  await response.body?.cancel();
}

function bodyInit(body: RequestBody | undefined, upload: UploadStream | undefined): RequestInit {
  if (body === undefined) return {};
  if (body.kind === "bytes") return { body: body.bytes };
  const init: RequestInit & { duplex: "half" } = { body: upload?.stream ?? null, duplex: "half" };
  return init;
}

function queryString(query: Readonly<Record<string, string | undefined>> = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) params.set(name, value);
  return params.size === 0 ? "" : `?${params}`;
}

function stalled(request: HttpRequest, limitMs: number): TimeoutError {
  return new TimeoutError(`${request.method} ${request.path} made no progress for ${limitMs} ms.`);
}

/** The caller's abort first, then the watchdog, then the upload's source; the rest is the connection. */
function translateFault(request: HttpRequest, scope: Scope, upload: UploadStream | undefined, error: unknown): unknown {
  if (request.signal?.aborted) return request.signal.reason;
  if (scope.signal.aborted) return scope.signal.reason;
  const sourceFault = upload?.fault();
  if (sourceFault !== undefined) return sourceFault;
  if (error instanceof AtollError) return error;
  return new ConnectionError(`${request.method} ${request.path} got no complete answer: ${causeOf(error)}.`, {
    cause: error,
  });
}

/** The innermost sentence: runtimes wrap the telling one in a "fetch failed". */
function causeOf(error: unknown): string {
  let inner = error;
  for (let depth = 0; depth < 5 && inner instanceof Error && inner.cause instanceof Error; depth++) inner = inner.cause;
  const text = inner instanceof Error ? inner.message || inner.name : String(inner);
  return text.replace(/\.$/, "");
}
