import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** One write as the API server noted it. */
export interface Write {
  readonly user: string;
  /** `apply` apart from `patch`. */
  readonly verb: string;
  readonly namespace: string;
  /** With the subresource. */
  readonly resource: string;
  readonly code: number;
}

interface AuditLine {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly userAgent?: string;
  readonly objectRef?: { readonly namespace?: string; readonly resource?: string; readonly subresource?: string };
  readonly requestURI: string;
  readonly responseStatus?: { readonly code?: number };
}

/** The log is written in batches: what was done is there after so long. */
const BATCH_MS = 2500;

/** All writes so far; trials that keep nothing are none. */
export async function readWrites(auditLog: string): Promise<readonly Write[]> {
  await sleep(BATCH_MS);
  return readFileSync(auditLog, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AuditLine)
    .filter(({ requestURI }) => !requestURI.includes("dryRun="))
    .map(writeOf);
}

function writeOf({ verb, user, objectRef = {}, requestURI, responseStatus }: AuditLine): Write {
  const { namespace = "", resource = "", subresource } = objectRef;
  return {
    namespace,
    user: user.username,
    verb: verb === "patch" && requestURI.includes("force=true") ? "apply" : verb,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    code: responseStatus?.code ?? 0,
  };
}

/** How many, by `user verb resource`; refused ones with their code. */
export function countWrites(writes: readonly Write[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { user, verb, resource, code } of writes) {
    const key = `${user} ${verb} ${resource}${code >= 400 ? ` (${code})` : ""}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => a.localeCompare(b)));
}
