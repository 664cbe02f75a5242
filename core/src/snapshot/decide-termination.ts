import type { TerminationPolicySpec } from "../sandbox.ts";
import type { SnapshotPhase, SnapshotSpec } from "./snapshot.ts";

/** How long the record of a snapshot at the end stays, and its longest time by default. Source: the cluster contract. */
const TTL_SECONDS = 300;
const TIMEOUT_SECONDS = 300;

/** Id of the record of the snapshot at a sandbox's end, and what is to be taken: of the first container. Undefined when the policy asks for none. */
export function terminationRequest(
  sandboxId: string,
  policy: TerminationPolicySpec | undefined,
): { readonly id: string; readonly spec: SnapshotSpec } | undefined {
  if (policy?.type !== "SnapshotRootfs") return undefined;
  const { snapshotName = sandboxId, timeoutSeconds = TIMEOUT_SECONDS } = policy.snapshotRootfs ?? {};
  const spec = { sandboxId, snapshotName, timeoutSeconds, ttlSecondsAfterFinished: TTL_SECONDS };
  return { id: `${sandboxId}-termination`, spec };
}

/** What is known when a sandbox is about to go that wants a snapshot first. */
export interface TerminationFacts {
  readonly timeoutSeconds: number;
  /** When its removal was asked for; absent = now, at the end of its lifetime. */
  readonly fromMs?: number;
  /** Kept from the first decision on; nothing moves it. */
  readonly deadlineAtMs?: number;
  /** Why none can be taken; it counts only as long as none was begun. */
  readonly obstacle?: { readonly reason: "RootfsSnapshotFailed" | "InvalidRuntime"; readonly message: string };
  /** The record made for it; absent until there is one. */
  readonly snapshot?: { readonly phase: SnapshotPhase; readonly message?: string };
}

/** `take` and `wait` hold the sandbox, at the latest until the deadline, which is to be kept; `finish` lets it go. */
export type TerminationDecision =
  | { readonly kind: "take" | "wait"; readonly deadlineAtMs: number }
  | {
      readonly kind: "finish";
      /** Reason of the condition `RootfsSnapshot`. */
      readonly reason: "RootfsSnapshotComplete" | "RootfsSnapshotFailed" | "RootfsSnapshotTimeout" | "InvalidRuntime";
      readonly message?: string;
    };

/** Whether a sandbox that wants a snapshot at its end may go. No answer holds it beyond the deadline, and no failure does. */
export function decideTermination(facts: TerminationFacts, nowMs: number): TerminationDecision {
  const { snapshot, obstacle, timeoutSeconds } = facts;
  if (snapshot?.phase === "Succeeded") return { kind: "finish", reason: "RootfsSnapshotComplete" };
  if (snapshot?.phase === "Failed") {
    const message = snapshot.message ?? "The snapshot at the sandbox's end failed.";
    return { kind: "finish", reason: "RootfsSnapshotFailed", message };
  }
  if (snapshot === undefined && obstacle !== undefined) return { kind: "finish", ...obstacle };
  const deadlineAtMs = facts.deadlineAtMs ?? (facts.fromMs ?? nowMs) + timeoutSeconds * 1000;
  if (nowMs >= deadlineAtMs) {
    const message = `The snapshot at the sandbox's end was not complete in its ${timeoutSeconds} s.`;
    return { kind: "finish", reason: "RootfsSnapshotTimeout", message };
  }
  return { kind: snapshot === undefined ? "take" : "wait", deadlineAtMs };
}
