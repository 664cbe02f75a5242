import * as z from "zod";
import { MAX_SANDBOX_NAME } from "../name-patterns.ts";
import { celRules } from "./cel.ts";
import { SANDBOX_GROUP, SANDBOX_VERSION } from "./group.ts";
import { SandboxSpecResource, SandboxStatusResource } from "./sandbox.ts";
import { structural, type StructuralSchema } from "./structural.ts";

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
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `sandboxes.${SANDBOX_GROUP}` },
    spec: {
      group: SANDBOX_GROUP,
      scope: "Namespaced" as const,
      names: {
        plural: "sandboxes",
        singular: "sandbox",
        kind: "Sandbox",
        listKind: "SandboxList",
        shortNames: ["sb"],
      },
      versions: [
        {
          name: SANDBOX_VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            conditionColumn("Ready", "status"),
            { name: "Age", type: "date" as const, jsonPath: ".metadata.creationTimestamp" },
            { ...conditionColumn("Ready", "reason"), name: "Reason" },
          ],
          schema: { openAPIV3Schema: objectSchema() },
        },
      ],
    },
  };
}

function conditionColumn(type: string, member: string) {
  return { name: type, type: "string" as const, jsonPath: `.status.conditions[?(@.type=="${type}")].${member}` };
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

function schemaOf(schema: z.ZodType): StructuralSchema {
  return structural(z.toJSONSchema(schema, { target: "openapi-3.0", io: "input" }));
}
