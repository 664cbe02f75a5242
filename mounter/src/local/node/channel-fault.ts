import type { MounterFault } from "#api/mounter-channel.ts";
import { faultCode } from "../../node/snapshot/fault-code.ts";
import { snapshotFailure } from "../../node/snapshot/snapshot-reason.ts";

/** Reasons that this program finds by itself; others are the gateway's. */
const REASONS: ReadonlySet<string> = new Set<MounterFault["reason"]>([
  "DumpFailed",
  "DiskFull",
  "TooLarge",
  "ArchiveInvalid",
  "StoreDenied",
  "StoreFailed",
]);

/** Any fault as the gateway is told it. */
export function channelFault(error: unknown): MounterFault {
  const { reason, message } = snapshotFailure(error);
  return { code: faultCode(error), reason: isOwn(reason) ? reason : "DumpFailed", message };
}

function isOwn(reason: string): reason is MounterFault["reason"] {
  return REASONS.has(reason);
}
