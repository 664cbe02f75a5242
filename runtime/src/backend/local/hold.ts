/**
 * Words between the machine and `atoll-hold`, the first program of a user's container
 * (`sidecar/native/atoll-hold.c`): an order to become another program, and a report of how that went.
 */

/** What a waiting container is to become. */
export interface HoldOrder {
  /** The program, looked up along the environment's PATH when it has no slash, and its arguments. */
  readonly args: readonly string[];
  /** `NAME=value`. */
  readonly env: readonly string[];
}

/** Where the waiting program lies in a user's container; `/dev` is no part of its root file system. */
export const HOLD_PATH = "/dev/.atoll-hold";

const HEAD_BYTES = 12;
/** A longer order is refused by the program; the kernel takes far less. */
export const HOLD_MOST_BYTES = 32 << 20;

export function encodeHoldOrder({ args, env }: HoldOrder): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode([...args, ...env].map((each) => `${each}\0`).join(""));
  if (text.length > HOLD_MOST_BYTES)
    throw new RangeError(`Cannot start a program with ${text.length} bytes of arguments and environment`);
  const order = new Uint8Array(HEAD_BYTES + text.length);
  const head = new DataView(order.buffer);
  head.setUint32(0, text.length, true);
  head.setUint32(4, args.length, true);
  head.setUint32(8, env.length, true);
  order.set(text, HEAD_BYTES);
  return order;
}

export type HoldOutcome =
  | { readonly kind: "started" }
  /** The program could not be executed, for the reason that this errno names. */
  | { readonly kind: "refused"; readonly errno: number }
  /** The container ended before it read its order. */
  | { readonly kind: "gone" };

/** Meaning of all that a waiting program said until it closed its report. */
export function readHoldReport(report: Uint8Array): HoldOutcome {
  const failedAt = report.indexOf(LETTER_E);
  if (failedAt >= 0)
    return { kind: "refused", errno: (report[failedAt + 1] ?? 0) + ((report[failedAt + 2] ?? 0) << 8) };
  return report[0] === LETTER_R ? { kind: "started" } : { kind: "gone" };
}

const LETTER_E = 0x45;
const LETTER_R = 0x52;
