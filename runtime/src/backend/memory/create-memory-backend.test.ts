import { describeBackend } from "../../../test/conformance/backend.ts";
import { createMemoryBackend } from "./create-memory-backend.ts";

describeBackend("createMemoryBackend()", async () => {
  const backend = createMemoryBackend();
  return {
    backend,
    image: "atoll/debian",
    missingImage: "missing.invalid/none:1",
    restartAgent: async (id) => backend.restartAgent(id),
    dispose: async () => undefined,
  };
});
