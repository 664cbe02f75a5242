import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createBench, type Bench, type MakeBackend } from "./backend-harness.ts";
import { commandCases } from "./backend/commands.ts";
import { fileCases } from "./backend/files.ts";
import { lifecycleCases } from "./backend/lifecycle.ts";
import { snapshotCases } from "./backend/snapshots.ts";

/** What a backend is asked to be able to do. */
export interface BackendAbilities {
  readonly takesSnapshots?: boolean;
}

/** The meaning of the port `SandboxBackend`, case by case; every backend passes it against its real world. */
export function describeBackend(
  name: string,
  make: MakeBackend,
  { takesSnapshots = false }: BackendAbilities = {},
): void {
  describe(`${name} as a SandboxBackend`, () => {
    let bench: Bench | undefined;
    const get = (): Bench => {
      if (bench === undefined) throw new Error("The backend under test is not there yet");
      return bench;
    };
    beforeAll(async () => {
      bench = createBench(await make());
    }, 120_000);
    afterEach(() => bench?.removeAll(), 120_000);
    afterAll(async () => {
      await bench?.allGone();
      await bench?.backend.close();
      await bench?.dispose();
    }, 120_000);

    lifecycleCases(get);
    commandCases(get);
    fileCases(get);
    if (takesSnapshots) snapshotCases(get);
    it("has snapshots exactly when it is asked to", () => {
      expect(get().backend.snapshots !== undefined).toBe(takesSnapshots);
    });
  });
}
