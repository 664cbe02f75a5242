import { describeBackend } from "../../../test/conformance/backend.ts";
import { createMemoryBackend } from "./create-memory-backend.ts";

for (const takesSnapshots of [true, false]) {
  describeBackend(
    `createMemoryBackend() ${takesSnapshots ? "with" : "without"} snapshots`,
    async () => {
      const backend = createMemoryBackend({ takesSnapshots });
      return {
        backend,
        image: "atoll/debian",
        missingImage: "missing.invalid/none:1",
        snapshots: { otherImage: "other/image" },
        restartAgent: async (id) => backend.restartAgent(id),
        dispose: async () => undefined,
      };
    },
    { takesSnapshots },
  );
}
