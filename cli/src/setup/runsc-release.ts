/** Older ones lack fixes that sandboxes need: the multi-container root file systems and the networking that this project drives. */
export const OLDEST_RUNSC = 20260820;

/** Exact version that is built when no release can be downloaded. */
export const RUNSC_MODULE_VERSION = "v0.0.0-20260905035102-160fafc42237";

/** Where gVisor publishes its releases. */
export const RUNSC_RELEASES_URL = "https://storage.googleapis.com/gvisor/releases/release/latest";

export type RunscVerdict =
  | { readonly kind: "good"; readonly release: string }
  | { readonly kind: "bad"; readonly why: string };

/** Judges the output of `runsc --version`. */
export function judgeRunsc(versionOutput: string): RunscVerdict {
  const release = /^runsc version (\S+)$/m.exec(versionOutput)?.[1];
  if (release === undefined) return { kind: "bad", why: "it does not say its version" };
  const date = /^release-(\d{8})\.\d+/.exec(release)?.[1];
  if (date === undefined) return { kind: "bad", why: `its version ${release} names no release date` };
  if (Number(date) < OLDEST_RUNSC) return { kind: "bad", why: `${release} is older than release-${OLDEST_RUNSC}` };
  return { kind: "good", release };
}

/** Name under which a module version was released: `release-20260905.0`. */
export function releaseOfModule(moduleVersion: string): string {
  const date = /-(\d{8})\d{6}-[0-9a-f]{12}$/.exec(moduleVersion)?.[1];
  if (date === undefined) throw new RangeError(`Module version ${moduleVersion} names no commit date`);
  return `release-${date}.0`;
}

/** The hash in a `sha512sum` line for this file name; undefined when there is none. */
export function sha512Of(text: string, file: string): string | undefined {
  for (const line of text.split("\n")) {
    const match = /^([0-9a-f]{128}) [ *](\S+)$/.exec(line.trim());
    if (match?.[2] === file) return match[1];
  }
  return undefined;
}
