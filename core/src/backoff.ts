export interface BackoffOptions {
  readonly firstMs: number;
  readonly mostMs: number;
  /** Growth with each attempt. @default 2 */
  readonly factor?: number;
}

/**
 * Pause before attempt number `attempt` (the first repetition is 0): grows with each, up to a most,
 * and loses up to half of itself by chance, so that many who failed together come back apart.
 */
export function backoffMs(
  attempt: number,
  { firstMs, mostMs, factor = 2 }: BackoffOptions,
  random: () => number,
): number {
  const fullMs = Math.min(mostMs, firstMs * factor ** Math.min(attempt, 64));
  return fullMs * (1 - random() / 2);
}
