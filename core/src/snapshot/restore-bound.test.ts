import { describe, expect, it } from "vitest";
import { restoreMemoryBytes, restoreObstacle } from "./restore-bound.ts";

const MIB = 2 ** 20;

describe("restoreObstacle", () => {
  it("is none without limits, and none at exactly what is needed", () => {
    expect(restoreObstacle("s", 2 ** 40, {})).toBeUndefined();
    const memoryBytes = restoreMemoryBytes(100 * MIB);
    expect(restoreObstacle("s", 100 * MIB, { memoryBytes, diskBytes: 100 * MIB })).toBeUndefined();
  });

  it("says both amounts when memory or disk is too small", () => {
    const memoryBytes = restoreMemoryBytes(100 * MIB) - 1;
    expect(restoreObstacle("s", 100 * MIB, { memoryBytes })).toMatch(`${memoryBytes + 1} bytes of memory`);
    expect(restoreObstacle("s", 100 * MIB, { memoryBytes })).toMatch(`limit is ${memoryBytes}.`);
    expect(restoreObstacle("s", 100 * MIB, { diskBytes: 5 })).toMatch(/104857600 bytes unpacked.* is 5\./);
  });

  // Measured: restored under 1 GiB, killed under 512 MiB; 1 GiB killed under 2 GiB.
  it("lies between what was seen to work and what was seen to die", () => {
    expect(restoreMemoryBytes(256 * MIB)).toBeLessThan(1024 * MIB);
    expect(restoreMemoryBytes(256 * MIB)).toBeGreaterThan(540 * MIB);
    expect(restoreMemoryBytes(1024 * MIB)).toBeGreaterThan(2048 * MIB);
  });
});
