import { afterAll, beforeAll, describe, it } from "vitest";
import { Atoll } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { expectFilesRestored, LARGE_FILE, MANY_FILES } from "../snapshot/files-of-a-kind.ts";
import { expectRandomTreesRestored, TREES, TREES_TIMEOUT_MS } from "../snapshot/random-trees.ts";

const image = "atoll/debian";
const KINDS = process.env["ATOLL_SOAK"] === "1" ? [MANY_FILES, LARGE_FILE] : [MANY_FILES];

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

  for (const kind of KINDS)
    it(
      `for ${kind.title}`,
      () => expectFilesRestored(kind, { client, image, snapshotName: kind.name }),
      kind.timeoutMs,
    );
});
