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
    const beganMs = this.nowMs();
    let open = 1;
    const leave = (): void => {
      open -= 1;
      if (open === 0) this.inFlight -= 1;
    };
    const count = (code: number): void => {
      this.find(request.method, patternOf(request) ?? UNKNOWN_PATH, code).add((this.nowMs() - beganMs) / 1000);
      leave();
    };
    const settle = (answer: Response): Response => {
      count(answer.status);
      return answer;
    };
    const fail = (error: unknown): never => {
      count(INTERNAL_ERROR);
      throw error;
    };
    return {
      meter: (answer) => (answer instanceof Promise ? answer.then(settle, fail) : settle(answer)),
      hold: () => {
        open += 1;
        this.openStreams += 1;
        return () => {
          this.openStreams -= 1;
          leave();
        };
      },
    };
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

/** By pattern, then by status. */
function seriesOfMethod(method: string) {
  return { method, patterns: new Map<string, Map<number, RequestSeries>>() };
}
