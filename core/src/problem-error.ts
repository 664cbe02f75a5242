import type { Problem, ProblemFault } from "#api/problem.ts";
import { PROBLEMS, problemType, type ProblemSlug } from "#api/problem-registry.ts";

export interface ProblemOptions {
  readonly cause?: unknown;
  readonly errors?: readonly ProblemFault[];
  /** For `output-gone`: first byte still kept. */
  readonly firstByte?: number;
  /** Seconds after which a retry makes sense; becomes the `Retry-After` header. */
  readonly retryAfterSeconds?: number;
}

/** The one error that crosses a port: a registered problem with one sentence that names action and value. */
export class ProblemError extends Error {
  readonly slug: ProblemSlug;
  readonly options: ProblemOptions;

  constructor(slug: ProblemSlug, detail: string, options: ProblemOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ProblemError";
    this.slug = slug;
    this.options = options;
  }

  get status(): number {
    return PROBLEMS[this.slug].status;
  }

  /** The RFC 9457 document; the cause stays inside. */
  toProblem(instance?: string): Problem {
    const { title, status } = PROBLEMS[this.slug];
    return {
      type: problemType(this.slug),
      title,
      status,
      detail: this.message,
      ...(instance === undefined ? {} : { instance }),
      ...(this.options.errors === undefined ? {} : { errors: [...this.options.errors] }),
      ...(this.options.firstByte === undefined ? {} : { firstByte: this.options.firstByte }),
    };
  }
}

/** Any thrown value as a ProblemError; an unknown one becomes `internal` without detail, its cause kept for the log. */
export function asProblemError(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  return new ProblemError("internal", "The request failed inside the server; its log has the reason.", {
    cause: error,
  });
}
