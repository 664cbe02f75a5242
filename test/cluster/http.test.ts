import { afterAll, beforeAll, inject } from "vitest";
import { describeHttp } from "../../runtime/test/conformance/http.ts";
import type { HttpFault } from "../../runtime/test/conformance/http/world.ts";
import { MISSING_IMAGE } from "../harness/cluster-images.ts";
import { JOURNAL_BYTES } from "../harness/platform.ts";
import { KILL_AGENT } from "../harness/restart-agent.ts";
import { startSnapshotStore, type SnapshotStore } from "../harness/snapshot-store.ts";

/** As the sandbox's user can do it: the agent may die before it has answered. */
const killAgent: HttpFault = {
  name: "kill-agent",
  forgets: true,
  async inflict(client, sandbox) {
    const killer = await client.spawn(sandbox, ["sh", "-c", KILL_AGENT]).catch(() => undefined);
    if (killer !== undefined) await client.exitCode(killer);
    const started = (): Promise<string> => client.spawn(sandbox, ["true"]);
    while (!(await started().catch(() => undefined)));
  },
};

let store: SnapshotStore;
beforeAll(async () => {
  store = await startSnapshotStore();
}, 60_000);
afterAll(() => store?.end(), 60_000);

// The installed gateway: in pods, on Bun, more than one behind the Service.
describeHttp("bun", () => Promise.resolve({ url: inject("gatewayUrl"), stop: () => Promise.resolve(0) }), {
  faults: [killAgent],
  missingImage: MISSING_IMAGE,
  journalBytes: JOURNAL_BYTES,
  takesSnapshots: true,
  abandonedCreates: 10,
  patienceMs: 60_000,
});
