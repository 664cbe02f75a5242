import type { CredentialsSource, KubeCredentials } from "./kube-fetch.ts";

export interface CredentialsOptions {
  /** For how long credentials are used before they are read again. @default 10_000 */
  readonly refreshMs?: number;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
}

/** Reading credentials means files and processes, so they are kept for a while. */
export function keepCredentials(
  read: () => Promise<KubeCredentials>,
  options: CredentialsOptions = {},
): CredentialsSource {
  const { refreshMs = 10_000, now = () => performance.now() } = options;
  let kept: Promise<KubeCredentials> | undefined;
  let untilMs = 0;

  return {
    get() {
      if (kept === undefined || now() >= untilMs) {
        const reading = read();
        kept = reading;
        untilMs = now() + refreshMs;
        // What failed is not kept; whoever waits for it learns why.
        reading.catch(() => {
          if (kept === reading) kept = undefined;
        });
      }
      return kept;
    },
    expire() {
      kept = undefined;
    },
  };
}
