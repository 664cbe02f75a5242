import type { z } from "zod";
import type { ProblemFault } from "#api/problem.ts";

/** Where in a request a fault is. */
export type RequestPart = "path" | "query" | "header" | "body";

const MAX_FAULTS = 20;
const MAX_VALUE_CHARACTERS = 200;

/** A schema's complaints as faults: location, what would be right, and the value found. */
export function toFaults(error: z.ZodError, value: unknown, part: RequestPart): ProblemFault[] {
  return error.issues.slice(0, MAX_FAULTS).flatMap((issue) => {
    const keys = issue.code === "unrecognized_keys" ? issue.keys.slice(0, MAX_FAULTS).map((key) => [key]) : [[]];
    return keys.map((extra) => {
      const path = [...issue.path, ...extra];
      const found = shown(valueAt(value, path));
      const message = wordsOf(issue, found);
      return { location: locationOf(part, path), message, ...(found === undefined ? {} : { value: found }) };
    });
  });
}

function wordsOf(issue: z.core.$ZodIssue, found: unknown): string {
  if (issue.code === "unrecognized_keys") return "Unknown property";
  if (issue.code === "invalid_type" && found === undefined) return `Missing: expected ${issue.expected}`;
  return issue.message;
}

function locationOf(part: RequestPart, path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : `${text}.${String(key).slice(0, 100)}`),
    part,
  );
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined),
    value,
  );
}

/** A long or large value is cut: the answer to a bad request stays small. */
function shown(value: unknown): unknown {
  if (typeof value === "string") return value.slice(0, MAX_VALUE_CHARACTERS);
  if (typeof value !== "object" || value === null) return value;
  const text = JSON.stringify(value);
  return text.length <= MAX_VALUE_CHARACTERS ? value : text.slice(0, MAX_VALUE_CHARACTERS);
}
