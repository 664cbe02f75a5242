import { LABEL_PATTERN, UUID_PATTERN } from "#api/name-patterns.ts";

const LABEL_CHARACTERS = 63;

/** True for what the schema `CommandId` takes. */
export function isCommandId(value: unknown): value is string {
  return typeof value === "string" && UUID_PATTERN.test(value);
}

/** True for what the schema `ContainerName` takes. */
export function isContainerName(value: unknown): value is string {
  return typeof value === "string" && value.length <= LABEL_CHARACTERS && LABEL_PATTERN.test(value);
}
