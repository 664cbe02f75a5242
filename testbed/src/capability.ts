/** Bit of the right to raise resource limits, and to lower the score by which the kernel chooses whom to kill. */
export const CAP_SYS_RESOURCE = 24;

/** Whether a process may use a capability, from its `/proc/<pid>/status`. */
export function hasCapability(status: string, bit: number): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return mask !== undefined && ((BigInt(`0x${mask}`) >> BigInt(bit)) & 1n) === 1n;
}
