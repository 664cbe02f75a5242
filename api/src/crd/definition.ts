import * as z from "zod";
import { SANDBOX_GROUP, SANDBOX_VERSION } from "./group.ts";
import { structural, type StructuralSchema } from "./structural.ts";

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "date";
  readonly jsonPath: string;
}

export const AGE_COLUMN: PrinterColumn = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };

/** What one kind of the group is. */
export interface KindDefinition {
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly shortName: string;
  readonly columns: readonly PrinterColumn[];
  /** Of a whole object. */
  readonly schema: StructuralSchema;
}

/** The CustomResourceDefinition of a namespaced kind with a status of its own. */
export function definitionOf({ plural, singular, kind, shortName, columns, schema }: KindDefinition) {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${SANDBOX_GROUP}` },
    spec: {
      group: SANDBOX_GROUP,
      scope: "Namespaced" as const,
      names: { plural, singular, kind, listKind: `${kind}List`, shortNames: [shortName] },
      versions: [
        {
          name: SANDBOX_VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [...columns],
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  };
}

/** A column with one member of the condition of a type. */
export function conditionColumn(type: string, member: string, name = type): PrinterColumn {
  return { name, type: "string", jsonPath: `.status.conditions[?(@.type=="${type}")].${member}` };
}

/** The structural form of a part of an object. */
export function schemaOf(schema: z.ZodType): StructuralSchema {
  return structural(z.toJSONSchema(schema, { target: "openapi-3.0", io: "input" }));
}
