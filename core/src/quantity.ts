/**
 * Kubernetes quantities (`500m`, `1.5Gi`, `2e3`), exact: amounts are whole billionths.
 * Rules of reading and of the canonical text follow apimachinery's `resource.Quantity`:
 * finer than a billionth rounds away from zero, larger than 2^63-1 is capped.
 */
export interface Quantity {
  /** The amount in billionths of a unit. */
  readonly nano: bigint;
  readonly format: QuantityFormat;
}

export type QuantityFormat = "decimal" | "binary" | "exponent";

const NANO_PER_UNIT = 1_000_000_000n;
const MAX_NANO = (2n ** 63n - 1n) * NANO_PER_UNIT;
const DECIMAL_SUFFIXES = new Map([
  [-9, "n"],
  [-6, "u"],
  [-3, "m"],
  [0, ""],
  [3, "k"],
  [6, "M"],
  [9, "G"],
  [12, "T"],
  [15, "P"],
  [18, "E"],
]);
const BINARY_SUFFIXES = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const QUANTITY = /^([+-]?)(\d*)(?:\.(\d*))?(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?|[eE][+-]?\d+)$/;
/** Decimal exponents outside are cut to these: beyond, every amount rounds to the same bound. */
const MAX_EXPONENT = 100;

/** Reads a quantity; undefined when the text is not one. */
export function parseQuantity(text: string): Quantity | undefined {
  const match = QUANTITY.exec(text);
  if (match === null) return undefined;
  const [, sign = "", whole = "", fraction = "", suffix = ""] = match;
  const digits = whole + fraction;
  if (digits === "") return undefined;
  const scale = readSuffix(suffix);
  const size = toNano(BigInt(digits), fraction.length, scale);
  const capped = size > MAX_NANO ? MAX_NANO : size;
  return { nano: sign === "-" ? -capped : capped, format: scale.format };
}

/** The canonical text: no fraction, the largest suffix that keeps every digit. */
export function formatQuantity({ nano, format }: Quantity): string {
  if (nano === 0n) return "0";
  const small = nano > -1024n * NANO_PER_UNIT && nano < 1024n * NANO_PER_UNIT;
  const fractional = nano % NANO_PER_UNIT !== 0n;
  if (format === "binary" && !small && !fractional) return formatBinary(nano / NANO_PER_UNIT);
  return formatDecimal(nano, format);
}

/** The canonical text of a quantity's text; undefined when it is not one. */
export function canonicalQuantity(text: string): string | undefined {
  const quantity = parseQuantity(text);
  return quantity === undefined ? undefined : formatQuantity(quantity);
}

/** Whole units, rounded up: bytes of a memory amount, cores of a cpu amount. */
export function quantityUnits({ nano }: Quantity): bigint {
  return divideUp(nano, NANO_PER_UNIT);
}

/** Thousandths, rounded up: millicores of a cpu amount. */
export function quantityMilli({ nano }: Quantity): bigint {
  return divideUp(nano, 1_000_000n);
}

interface Scale {
  readonly format: QuantityFormat;
  readonly base: bigint;
  readonly exponent: number;
}

function readSuffix(suffix: string): Scale {
  const binary = BINARY_SUFFIXES.indexOf(suffix);
  if (binary > 0) return { format: "binary", base: 2n, exponent: binary * 10 };
  for (const [exponent, name] of DECIMAL_SUFFIXES) {
    if (name === suffix) return { format: "decimal", base: 10n, exponent };
  }
  const exponent = Number(suffix.slice(1));
  const bounded = Math.max(-MAX_EXPONENT, Math.min(MAX_EXPONENT, exponent));
  return { format: "exponent", base: 10n, exponent: bounded };
}

function toNano(digits: bigint, fractionDigits: number, { base, exponent }: Scale): bigint {
  const up = exponent > 0 ? base ** BigInt(exponent) : 1n;
  const down = exponent < 0 ? base ** BigInt(-exponent) : 1n;
  return divideUp(digits * NANO_PER_UNIT * up, down * 10n ** BigInt(fractionDigits));
}

/** Towards positive infinity; the divisor is positive. */
function divideUp(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  return dividend > 0n && quotient * divisor !== dividend ? quotient + 1n : quotient;
}

function formatBinary(units: bigint): string {
  let amount = units;
  let step = 0;
  while (amount % 1024n === 0n && step < BINARY_SUFFIXES.length - 1) {
    amount /= 1024n;
    step += 1;
  }
  return `${amount}${BINARY_SUFFIXES[step]}`;
}

function formatDecimal(nano: bigint, format: QuantityFormat): string {
  let amount = nano;
  let exponent = -9;
  while (amount % 1000n === 0n && exponent < 18) {
    amount /= 1000n;
    exponent += 3;
  }
  const suffix = format === "exponent" ? (exponent === 0 ? "" : `e${exponent}`) : DECIMAL_SUFFIXES.get(exponent);
  return `${amount}${suffix}`;
}
