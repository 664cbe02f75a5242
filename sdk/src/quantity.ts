/** Cores as a number or a quantity string: `0.5` is `500m`. */
export function cpuQuantity(cores: number | string): string {
  if (typeof cores === "string") return cores;
  return `${roundHalfEven(checked("cpu", cores) * 1000)}m`;
}

/** MiB as a number or a quantity string: `256` is `256Mi`. */
export function mebibyteQuantity(name: string, mebibytes: number | string): string {
  if (typeof mebibytes === "string") return mebibytes;
  // Kubernetes has no fraction finer than a byte, and JavaScript would write a tiny one as 1e-7.
  const value = checked(name, mebibytes);
  return Number.isInteger(value) ? `${value}Mi` : `${Math.round(value * 1_048_576)}`;
}

function checked(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0 && value < 1e12) return value;
  throw new RangeError(`\`${name}\` must be a number from 0, not ${value}.`);
}

/** Halves go to the even neighbour, as the Python client rounds them. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
