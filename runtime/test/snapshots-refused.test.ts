import { describe } from "vitest";
import { createMemoryBackend } from "#runtime/backend/memory/create-memory-backend.ts";
import { snapshotRefusalCases } from "./conformance/http/snapshots.ts";
import { httpClient } from "./conformance/http-client.ts";
import { gatewayFixture } from "./gateway-fixture.ts";

describe("a gateway whose backend takes no snapshots", () => {
  const fixture = gatewayFixture({ backend: createMemoryBackend({ takesSnapshots: false }) });
  const { sandboxBody } = httpClient({ url: "" });
  snapshotRefusalCases(() => ({ ...fixture, sandboxBody }));
});
