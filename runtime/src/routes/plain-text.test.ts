import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { CommandId, ContainerName, SandboxId } from "#api/scalars.ts";
import { FileQuery, IdempotencyKey, LastEventId } from "./isola/parameters.ts";
import { plainTextTest } from "./plain-text.ts";

const SCHEMAS = {
  SandboxId,
  CommandId,
  "ContainerName, optional": ContainerName.optional(),
  IdempotencyKey,
  "LastEventId, optional": LastEventId.optional(),
  path: FileQuery.shape.path,
};

const SAMPLES = ["", "a", "a.b-c", "A", "-", "a\n", "a\0b", "/x", " k ", crypto.randomUUID(), "x".repeat(48), "é"];
const text = fc.oneof(fc.constantFrom(undefined, ...SAMPLES), fc.string(), fc.stringMatching(/^[a-z0-9.-]{0,60}$/));

describe("plainTextTest", () => {
  it.each(Object.entries(SCHEMAS))(
    "of %s says exactly what the schema says, and the schema changes nothing",
    (_, schema) => {
      const test = plainTextTest(schema);
      expect(test).toBeDefined();
      fc.assert(
        fc.property(text, (value) => {
          const parsed = schema.safeParse(value);
          expect(test?.(value)).toBe(parsed.success);
          if (parsed.success) expect(parsed.data).toBe(value);
        }),
      );
    },
  );

  it.each([
    { what: "a change of the text", schema: z.string().trim() },
    { what: "a transformation", schema: z.string().transform(Number) },
    { what: "a default", schema: z.string().default("x") },
    { what: "a check of the program's own", schema: z.string().refine((value) => value !== "x") },
    { what: "a format", schema: z.email() },
    { what: "a coercion", schema: z.coerce.string() },
    { what: "a pattern that remembers", schema: z.string().regex(/x/g) },
    { what: "a number", schema: z.int() },
  ])("leaves $what to the schema", ({ schema }) => {
    expect(plainTextTest(schema)).toBeUndefined();
  });
});
