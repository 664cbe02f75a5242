import { afterAll, beforeAll, inject, it } from "vitest";
import { Atoll } from "#sdk";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { startSnapshotStore, type SnapshotStore } from "../harness/snapshot-store.ts";
import { expectRandomTreesRestored, treesOf } from "../snapshot/random-trees.ts";
import { newName } from "./snapshot-stage.ts";

const ROUNDS = process.env["ATOLL_SOAK"] === "1" ? 200 : 5;

let store: SnapshotStore;
beforeAll(async () => {
  store = await startSnapshotStore();
}, 60_000);
afterAll(() => store?.end(), 60_000);

it(
  `what is restored equals what was there, for ${treesOf(ROUNDS)} random trees over an image, each on top of the ones before`,
  async () => {
    const client = new Atoll({ url: inject("gatewayUrl") });
    // The root folder itself is the node's: gVisor restores what lies in it.
    const lost = ["/"];
    await expectRandomTreesRestored({ client, image: TEST_IMAGE, rounds: ROUNDS, prefix: newName(), lost });
  },
  ROUNDS * 60_000,
);
