import { MAX_SNAPSHOT_NAME } from "../name-patterns.ts";
import { celRules } from "./cel.ts";
import { AGE_COLUMN, conditionColumn, definitionOf, schemaOf } from "./definition.ts";
import { RootfsSnapshotSpecResource, RootfsSnapshotStatusResource } from "./rootfs-snapshot.ts";

/** The CustomResourceDefinition of records of snapshots (`rootfssnapshots.sandbox.isola.run`). */
export function rootfsSnapshotCrd() {
  return definitionOf({
    plural: "rootfssnapshots",
    singular: "rootfssnapshot",
    kind: "RootfsSnapshot",
    shortName: "rfs",
    columns: [
      conditionColumn("Succeeded", "status"),
      { name: "Sandbox", type: "string", jsonPath: ".spec.sandboxName" },
      AGE_COLUMN,
    ],
    schema: {
      description: "The changes of one container over its image, taken once and kept in the snapshot store.",
      type: "object",
      required: ["spec"],
      properties: {
        apiVersion: { type: "string" },
        kind: { type: "string" },
        metadata: { type: "object" },
        spec: schemaOf(RootfsSnapshotSpecResource),
        status: schemaOf(RootfsSnapshotStatusResource),
      },
      ...celRules({
        rule: `self.metadata.name.size() <= ${MAX_SNAPSHOT_NAME}`,
        message: `the name of a snapshot's record has at most ${MAX_SNAPSHOT_NAME} characters`,
      }),
    },
  });
}
