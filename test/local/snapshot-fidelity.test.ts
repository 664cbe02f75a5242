import { afterAll, beforeAll, describe, it } from "vitest";
import { Atoll } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { expectFilesRestored, LARGE_FILE, MANY_FILES } from "../snapshot/files-of-a-kind.ts";
import { expectRandomTreesRestored, TREES, TREES_TIMEOUT_MS } from "../snapshot/random-trees.ts";

const image = "atoll/debian";

describe("what is restored equals what was there", () => {
  let gateway: GatewayProcess;
  let client: Atoll;
  beforeAll(async () => {
    gateway = await startGateway();
    client = new Atoll({ url: gateway.url });
  }, 60_000);
  afterAll(() => gateway.dispose(), 60_000);

  it(
    `for ${TREES} random trees over an image, each on top of the ones before`,
    () => expectRandomTreesRestored({ client, image, prefix: "tree" }),
    TREES_TIMEOUT_MS,
  );

  it(
    "for 100,000 small files",
    () => expectFilesRestored(MANY_FILES, { client, image, snapshotName: "many" }),
    MANY_FILES.timeoutMs,
  );

  it.runIf(process.env["ATOLL_SOAK"] === "1")(
    "for a file of 4 GiB",
    () => expectFilesRestored(LARGE_FILE, { client, image, snapshotName: "large" }),
    LARGE_FILE.timeoutMs,
  );
});
