/** The last whole second of times that are kept as nanoseconds in 64 bits. */
const MOST_TIME_SECONDS = 9_223_372_036;

/** The nearest time that can be restored: gVisor rounds the very last ones to one that wraps around. */
export function keptTime(seconds: number): number {
  return Math.max(-MOST_TIME_SECONDS, Math.min(MOST_TIME_SECONDS, seconds));
}
