export type SnapshotFaultCode =
  /** There is no such snapshot. */
  | "absent"
  /** What lies in the store is not what its manifest says. */
  | "damaged"
  /** A layer that a write wants to stand on is no longer kept. */
  | "gone"
  /** There is no room on this node. */
  | "full"
  /** The manifest was sent, and the store did not say whether it took it. */
  | "unsure"
  /** It was replaced again and again while it was read, or others wrote it all the time. */
  | "changing";

/** Why a snapshot cannot be written or read, in one sentence. What the store itself refused is a `StoreError`. */
export class SnapshotFault extends Error {
  readonly code: SnapshotFaultCode;

  constructor(code: SnapshotFaultCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SnapshotFault";
    this.code = code;
  }
}

export function isSnapshotFault(error: unknown, code: SnapshotFaultCode): error is SnapshotFault {
  return error instanceof SnapshotFault && error.code === code;
}
