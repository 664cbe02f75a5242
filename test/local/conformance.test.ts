import { silentLog } from "#core/log.ts";
import { describeBackend } from "../../runtime/test/conformance/backend.ts";
import { BASE_IMAGE, makeLocal } from "./local-backend.ts";
import { restartAgent } from "../harness/restart-agent.ts";

describeBackend("local", async () => {
  const { backend, dispose } = await makeLocal();
  return {
    backend,
    image: BASE_IMAGE,
    missingImage: "atoll/debian:none",
    restartAgent: async (id) =>
      restartAgent(await backend.agent(id, { signal: AbortSignal.timeout(10_000), log: silentLog })),
    dispose,
  };
});
