import { parseQuantity, quantityMilli, quantityUnits, type Quantity } from "#core/quantity.ts";
import type { Amounts, SandboxSpec } from "#core/sandbox.ts";

/**
 * What is fixed when a sandbox's kernel boots: processors and memory that the guest sees.
 * Absent = the machine's own. Booted sandboxes of the same shape stand in for each other.
 */
export interface Shape {
  /** In thousandths of a core. */
  readonly cpuMillis?: number;
  readonly memoryBytes?: number;
}

/**
 * The limits of all containers summed, per dimension; absent as soon as one container has
 * none, as in a pod: the containers share one kernel, so one open limit opens the sum.
 */
export function shapeOf(spec: SandboxSpec): Shape {
  const cpuMillis = sum(spec, "cpu", quantityMilli);
  const memoryBytes = sum(spec, "memory", quantityUnits);
  return { ...(cpuMillis === undefined ? {} : { cpuMillis }), ...(memoryBytes === undefined ? {} : { memoryBytes }) };
}

/** Equal shapes have equal keys. */
export function shapeKey(shape: Shape): string {
  return `${shape.cpuMillis ?? "-"}/${shape.memoryBytes ?? "-"}`;
}

/** A container's own disk in bytes. */
export function storageBytes(limits: Amounts | undefined, defaultBytes: number): number {
  return limits?.ephemeralStorage === undefined ? defaultBytes : amount(limits.ephemeralStorage, quantityUnits);
}

function sum(spec: SandboxSpec, dimension: "cpu" | "memory", unit: (quantity: Quantity) => bigint): number | undefined {
  let total = 0;
  for (const container of spec.containers) {
    const quantity = container.resources?.limits?.[dimension];
    if (quantity === undefined) return undefined;
    total += amount(quantity, unit);
  }
  return total;
}

/** Quantities were checked when they came in; an amount beyond exact numbers is as good as none. */
function amount(text: string, unit: (quantity: Quantity) => bigint): number {
  const quantity = parseQuantity(text);
  if (quantity === undefined) throw new RangeError(`Cannot read quantity "${text}"`);
  const value = unit(quantity);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}
