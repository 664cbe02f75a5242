import type { types } from "@pulumi/kubernetes";
import type * as z from "zod";

export type EnvironmentVariable = types.input.core.v1.EnvVar;

/** Where in its own pod a container reads a variable from. */
export interface PodField {
  readonly fieldPath: "metadata.name" | "spec.nodeName";
}

/** Text, or absent: a program's default holds. */
type Values<S extends z.ZodObject> = {
  readonly [K in keyof z.input<S>]: Extract<z.input<S>[K], string | undefined> | PodField;
};

/**
 * The variables a program is started with, checked by the schema with which it reads them.
 * A variable that the program needs and that is missing here does not compile.
 */
export function renderEnvironment<S extends z.ZodObject>(schema: S, values: Values<S>): EnvironmentVariable[] {
  const given = Object.entries<string | PodField | undefined>(values).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, value] as const],
  );
  schema.parse(Object.fromEntries(given.map(([name, value]) => [name, typeof value === "string" ? value : "later"])));
  return given.map(([name, value]) =>
    typeof value === "string" ? { name, value } : { name, valueFrom: { fieldRef: { apiVersion: "v1", ...value } } },
  );
}
