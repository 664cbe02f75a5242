import { afterAll, beforeAll, describe, inject, it } from "vitest";
import { Atoll } from "#sdk";
import { TEST_IMAGE as image } from "../harness/cluster-images.ts";
import { startSnapshotStore, type SnapshotStore } from "../harness/snapshot-store.ts";
import { expectFilesRestored, MANY_FILES } from "../snapshot/files-of-a-kind.ts";
import { expectRandomTreesRestored, TREES, TREES_TIMEOUT_MS } from "../snapshot/random-trees.ts";
import { newName } from "./snapshot-stage.ts";

/** Not the large file: the testbed's disk is memory, and its dump, its archive and what is restored are some 20 GiB at once. */
const KINDS = process.env["ATOLL_SOAK"] === "1" ? [MANY_FILES] : [];

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

  for (const kind of KINDS)
    it(
      `for ${kind.title}`,
      () => expectFilesRestored(kind, { client, image, snapshotName: newName() }),
      kind.timeoutMs,
    );
});
