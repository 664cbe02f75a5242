import { afterAll, beforeAll, expect, it } from "vitest";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { expectLossesTold } from "../snapshot/losses-told.ts";
import { newName, openSnapshotStage, type SnapshotStage } from "./snapshot-stage.ts";

const TEST_MS = 180_000;

let stage: SnapshotStage;
beforeAll(async () => {
  stage = await openSnapshotStage();
}, 60_000);
afterAll(() => stage?.dispose(), TEST_MS);

it(
  "what a snapshot lacks is told in its record and its manifest, kind by kind",
  async () => {
    const prefix = newName();
    // The root folder itself is the node's: gVisor restores what lies in it.
    const more = [["RootFolderNotKept", 1, ["/"]]] as const;
    await expectLossesTold({ client: stage.api, image: TEST_IMAGE, prefix, more });
    const manifest = await stage.store.manifest(`${prefix}-lossy`);
    expect(manifest?.warnings.map(({ code }) => code)).toContain("CapabilitiesLeftOut");
  },
  TEST_MS,
);
