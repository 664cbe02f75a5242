import { afterAll, beforeAll, describe, inject, it } from "vitest";
import { Atoll } from "#sdk";
import { TEST_IMAGE as image } from "../harness/cluster-images.ts";
import { startSnapshotStore, type SnapshotStore } from "../harness/snapshot-store.ts";
import { expectFilesRestored, LARGE_FILE, MANY_FILES } from "../snapshot/files-of-a-kind.ts";
import { expectRandomTreesRestored, TREES, TREES_TIMEOUT_MS } from "../snapshot/random-trees.ts";
import { newName } from "./snapshot-stage.ts";

const IS_SOAK = process.env["ATOLL_SOAK"] === "1";

describe("what is restored equals what was there", () => {
  let store: SnapshotStore;
  let client: Atoll;
  beforeAll(async () => {
    client = new Atoll({ url: inject("gatewayUrl") });
    store = await startSnapshotStore();
  }, 60_000);
  afterAll(() => store?.end(), 60_000);

  it(
    `for ${TREES} random trees over an image, each on top of the ones before`,
    // The root folder itself is the node's: gVisor restores what lies in it.
    () => expectRandomTreesRestored({ client, image, prefix: newName(), lost: ["/"] }),
    TREES_TIMEOUT_MS,
  );

  it.runIf(IS_SOAK)(
    "for 100,000 small files",
    () => expectFilesRestored(MANY_FILES, { client, image, snapshotName: newName() }),
    MANY_FILES.timeoutMs,
  );

  it.runIf(IS_SOAK)(
    "for a file of 4 GiB",
    () => expectFilesRestored(LARGE_FILE, { client, image, snapshotName: newName() }),
    LARGE_FILE.timeoutMs,
  );
});
