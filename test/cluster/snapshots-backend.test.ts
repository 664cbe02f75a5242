import { afterAll, afterEach, beforeAll, describe } from "vitest";
import { SANDBOX_NAMESPACE, SYSTEM_NAMESPACE } from "#core/kubernetes/names.ts";
import { DEBIAN } from "#testbed/images.ts";
import { REGISTRY } from "#testbed/layout.ts";
import { createBench, type Bench } from "../../runtime/test/conformance/backend-harness.ts";
import { snapshotCases } from "../../runtime/test/conformance/backend/snapshots.ts";
import { openBackend } from "../harness/cluster-backend.ts";
import { MISSING_IMAGE, registryUrl, TEST_IMAGE } from "../harness/cluster-images.ts";
import { startSnapshotStore, type SnapshotStore } from "../harness/snapshot-store.ts";
import { findCluster } from "./cluster.ts";
import { pushVariant } from "./registry.ts";

const [REPOSITORY = "", TAG = ""] = DEBIAN.split(":");
const OTHER_TAG = "of-another-digest";

let store: SnapshotStore | undefined;
let bench: Bench | undefined;

function get(): Bench {
  if (bench === undefined) throw new Error("The backend under test is not there yet");
  return bench;
}

beforeAll(async () => {
  store = await startSnapshotStore();
  await pushVariant(registryUrl, REPOSITORY, TAG, OTHER_TAG);
  const backend = await openBackend({
    cluster: await findCluster(),
    sandboxNamespace: SANDBOX_NAMESPACE,
    systemNamespace: SYSTEM_NAMESPACE,
    hasSnapshots: true,
  });
  bench = createBench({
    backend,
    image: TEST_IMAGE,
    missingImage: MISSING_IMAGE,
    lifetimeSeconds: 8,
    snapshots: { otherImage: `${REGISTRY}/${REPOSITORY}:${OTHER_TAG}` },
    restartAgent: () => Promise.reject(new Error("No case of snapshots needs it")),
    dispose: () => Promise.resolve(),
  });
}, 120_000);
afterEach(() => bench?.removeAll(), 120_000);
afterAll(async () => {
  await bench?.allGone();
  await bench?.backend.close();
  await store?.end();
}, 120_000);

describe("the kubernetes backend over the installed operator and mounter", () => {
  snapshotCases(get);
});
