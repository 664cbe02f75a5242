import { createHash } from "node:crypto";

/** Beginning of a Python program that takes a length and a seed: `data` is what `pattern` makes, `rng` its dice. */
export const PATTERN_PROGRAM = `
import os, random, sys, time
unit = bytes((i * 7 + i // 251) % 256 for i in range(251 * 256))
total, seed = int(sys.argv[1]), int(sys.argv[2])
data = (unit * (total // len(unit) + 1))[:total]
rng = random.Random(seed)
`;

/** A sequence that repeats late, so that lost and doubled pieces show. */
export function pattern(total: number): Buffer {
  const unit = Buffer.from(Uint8Array.from({ length: 251 * 256 }, (_, i) => (i * 7 + Math.floor(i / 251)) % 256));
  return Buffer.concat(Array.from({ length: Math.floor(total / unit.length) + 1 }, () => unit)).subarray(0, total);
}

export function sha(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
