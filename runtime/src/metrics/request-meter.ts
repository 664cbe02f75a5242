import { RequestSeries } from "./request-series.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/** Stands for any other method: a caller invents as many as it likes. */
const OTHER_METHOD = "OTHER";
/** Stands for a path without a route. */
const UNKNOWN_PATH = "unknown";
/** What a runtime answers when we have no answer. */
const INTERNAL_ERROR = 500;

/** The pattern of the route that a request goes to, as the router has it: `/v1/sandboxes/:sandboxId`. */
export type PatternOf = (request: Request) => string | undefined;

/** One request on its way. */
export interface MeteredRequest {
  /** Of the route that serves it; absent = the router is asked. */
  pattern: string | undefined;
  /** Counts the answer when its head is there, and hands it on. */
  meter(answer: Response | Promise<Response>): Response | Promise<Response>;
  /** The request goes on, whatever becomes of its head, until the result is called, once. */
  hold(): () => void;
}

/**
 * Counts requests in a few additions each; what a scraper reads is made when it asks. How many
 * series there are depends on routes and statuses alone, never on what callers send.
 */
export class RequestMeter {
  /** Requests that wait for their answer, or whose stream goes on. */
  inFlight = 0;
  /** Streams (output, input, files) that are open. */
  openStreams = 0;
  private readonly nowMs: () => number;
  private readonly methods = new Map(METHODS.map((method) => [method, seriesOfMethod(method)]));
  private readonly otherMethods = seriesOfMethod(OTHER_METHOD);

  /** `nowMs`: of a clock that only goes forward. */
  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  *series(): Iterable<RequestSeries> {
    for (const { patterns } of [...this.methods.values(), this.otherMethods])
      for (const codes of patterns.values()) yield* codes.values();
  }

  begin(request: Request, patternOf: PatternOf): MeteredRequest {
    this.inFlight += 1;
    return new Metered(this, request, patternOf, this.nowMs());
  }

  /** Counts one answer. */
  count(
    request: Request,
    pattern: string | undefined,
    answer: { readonly code: number; readonly sinceMs: number },
  ): void {
    const series = this.find(request.method, pattern ?? UNKNOWN_PATH, answer.code);
    series.add((this.nowMs() - answer.sinceMs) / 1000);
  }

  private find(given: string, pattern: string, code: number): RequestSeries {
    const { method, patterns } = this.methods.get(given) ?? this.otherMethods;
    let codes = patterns.get(pattern);
    if (codes === undefined) patterns.set(pattern, (codes = new Map()));
    let series = codes.get(code);
    if (series === undefined)
      codes.set(code, (series = new RequestSeries(method, pattern.replaceAll(/:(\w+)/g, "{$1}"), code)));
    return series;
  }
}

class Metered implements MeteredRequest {
  pattern: string | undefined;
  readonly #meter: RequestMeter;
  readonly #request: Request;
  readonly #patternOf: PatternOf;
  readonly #beganMs: number;
  /** The head of the answer, and what is held. */
  #open = 1;

  constructor(meter: RequestMeter, request: Request, patternOf: PatternOf, beganMs: number) {
    this.#meter = meter;
    this.#request = request;
    this.#patternOf = patternOf;
    this.#beganMs = beganMs;
  }

  meter(answer: Response | Promise<Response>): Response | Promise<Response> {
    if (!(answer instanceof Promise)) return this.#settle(answer);
    return answer.then(
      (settled) => this.#settle(settled),
      (error: unknown) => {
        this.#count(INTERNAL_ERROR);
        throw error;
      },
    );
  }

  hold(): () => void {
    this.#open += 1;
    this.#meter.openStreams += 1;
    return () => {
      this.#meter.openStreams -= 1;
      this.#leave();
    };
  }

  #settle(answer: Response): Response {
    this.#count(answer.status);
    return answer;
  }

  #count(code: number): void {
    const pattern = this.pattern ?? this.#patternOf(this.#request);
    this.#meter.count(this.#request, pattern, { code, sinceMs: this.#beganMs });
    this.#leave();
  }

  #leave(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#meter.inFlight -= 1;
  }
}

/** By pattern, then by status. */
function seriesOfMethod(method: string) {
  return { method, patterns: new Map<string, Map<number, RequestSeries>>() };
}
