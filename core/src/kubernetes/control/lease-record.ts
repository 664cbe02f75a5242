import type { Lease } from "#core/kubernetes/lease.ts";

export interface LeaseFacts {
  readonly namespace: string;
  readonly name: string;
  readonly leaseMs: number;
  readonly nowMs: number;
}

/** The lease as a holder writes it, over the version that it read. */
export function leaseHeldBy(holder: string, before: Lease | undefined, facts: LeaseFacts): Lease {
  const { namespace, name, leaseMs, nowMs } = facts;
  const now = microTime(nowMs);
  const known = before?.spec;
  const isSame = known?.holderIdentity === holder;
  const transitions = known?.leaseTransitions ?? 0;
  return {
    metadata: before?.metadata ?? { namespace, name },
    spec: {
      ...known,
      holderIdentity: holder,
      leaseDurationSeconds: Math.ceil(leaseMs / 1000),
      acquireTime: isSame ? (known.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: isSame || before === undefined ? transitions : transitions + 1,
    },
  };
}

/** The lease as its holder leaves it to whoever is first. */
export function leaseReleasedBy(before: Lease, nowMs: number): Lease {
  return {
    metadata: before.metadata,
    spec: { ...before.spec, holderIdentity: "", leaseDurationSeconds: 1, renewTime: microTime(nowMs) },
  };
}

/** Whether nobody need be waited for. */
export function isFree(lease: Lease | undefined, holder: string): boolean {
  const current = lease?.spec?.holderIdentity;
  return current === undefined || current === "" || current === holder;
}

/** RFC 3339 with exactly the six digits that the API server reads. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}
