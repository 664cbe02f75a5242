import type * as z from "zod";
import { MAX_SANDBOX_NAME } from "../name-patterns.ts";
import { celRules } from "./cel.ts";
import { AGE_COLUMN, conditionColumn, definitionOf, schemaOf } from "./definition.ts";
import { SandboxSpecResource, SandboxStatusResource } from "./sandbox.ts";
import type { StructuralSchema } from "./structural.ts";

/** What a new object shows before anybody has written its status: it costs no write. */
const FIRST_STATUS: z.infer<typeof SandboxStatusResource> = {
  conditions: [
    {
      type: "Ready",
      status: "Unknown",
      reason: "PodPending",
      message: "The sandbox's pod is not created yet",
      lastTransitionTime: "1970-01-01T00:00:00Z",
    },
  ],
};

/** The CustomResourceDefinition of sandboxes (`sandboxes.sandbox.isola.run`). */
export function sandboxCrd() {
  return definitionOf({
    plural: "sandboxes",
    singular: "sandbox",
    kind: "Sandbox",
    shortName: "sb",
    columns: [conditionColumn("Ready", "status"), AGE_COLUMN, conditionColumn("Ready", "reason", "Reason")],
    schema: objectSchema(),
  });
}

function objectSchema(): StructuralSchema {
  return {
    description: "A secure, disposable computer: a pod whose containers run on a kernel of their own.",
    type: "object",
    required: ["spec"],
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { type: "object" },
      spec: schemaOf(SandboxSpecResource),
      status: { ...schemaOf(SandboxStatusResource), default: FIRST_STATUS },
    },
    ...celRules({
      rule: `self.metadata.name.size() <= ${MAX_SANDBOX_NAME}`,
      message: `the name of a sandbox has at most ${MAX_SANDBOX_NAME} characters: names of its parts are made from it`,
    }),
  };
}
