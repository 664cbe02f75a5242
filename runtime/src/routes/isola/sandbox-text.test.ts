import fc from "fast-check";
import { expect, it } from "vitest";
import type { Sandbox, SandboxSpec } from "#core/sandbox.ts";
import { toResponse } from "./convert.ts";
import { createSandboxWriter } from "./sandbox-text.ts";

const specOf = (image: string): SandboxSpec => ({
  containers: [{ name: "sandbox0", image, env: {} }],
  startupTimeoutSeconds: 90,
});
const SPECS = [specOf("a"), specOf("a"), specOf("b")];

/** Few values of each member, so that equal and almost equal states are frequent. */
const state: fc.Arbitrary<Sandbox> = fc
  .record({
    id: fc.constantFrom("a", "b"),
    spec: fc.constantFrom(...SPECS),
    phase: fc.constantFrom("Pending", "Running", "Failed"),
    reason: fc.constantFrom(undefined, "Timeout", "PodRunning"),
    message: fc.constantFrom(undefined, "one", "two"),
    createdAtMs: fc.constantFrom(0, 1000),
    startedAtMs: fc.constantFrom(undefined, 1, 2),
  })
  .map(({ reason, message, startedAtMs, ...rest }): Sandbox => ({
    ...rest,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    requestDigest: "digest",
  }));

it("createSandboxWriter writes of every state what a writer without memory writes", () => {
  fc.assert(
    fc.property(fc.array(state, { maxLength: 12 }), (states) => {
      const write = createSandboxWriter();
      expect(states.map(write)).toEqual(states.map((one) => JSON.stringify(toResponse(one))));
    }),
    { numRuns: 500 },
  );
});
