/** Measured values of one thing, in the order taken. */
export interface Series {
  readonly name: string;
  readonly unit: "ms" | "MB/s" | "MiB" | "1/s";
  readonly values: readonly number[];
}

/** The value below which `share` (0 to 1) of the values lie; nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
}

/** Milliseconds that `work` takes. */
export async function timeMs(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

/**
 * Runs the measured thing and its baseline in turn, so that drift of the machine meets both.
 * The first round warms up and is not counted.
 */
export async function inTurn(rounds: number, works: readonly (() => Promise<number>)[]): Promise<number[][]> {
  const values: number[][] = works.map(() => []);
  for (let round = -1; round < rounds; round++) {
    for (const [index, work] of works.entries()) {
      const value = await work();
      if (round >= 0) values[index]?.push(value);
    }
  }
  return values;
}
