/** Upper bounds in seconds: Prometheus' own, and three for what waits. Source: the cluster contract. */
export const DURATION_BOUNDS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60];

/** The answers of one method, route and status. */
export class RequestSeries {
  readonly method: string;
  /** The route's pattern, as the OpenAPI document has it: `/v1/sandboxes/{sandboxId}`. */
  readonly path: string;
  readonly code: number;
  /** How many took at most the bound of this place, and more than the one before; the last, more than any. */
  readonly counts: number[] = Array.from({ length: DURATION_BOUNDS.length + 1 }, () => 0);
  total = 0;
  sumSeconds = 0;

  constructor(method: string, path: string, code: number) {
    this.method = method;
    this.path = path;
    this.code = code;
  }

  add(seconds: number): void {
    let place = 0;
    while (place < DURATION_BOUNDS.length && seconds > (DURATION_BOUNDS[place] ?? 0)) place += 1;
    this.counts[place] = (this.counts[place] ?? 0) + 1;
    this.total += 1;
    this.sumSeconds += seconds;
  }
}
