import * as z from "zod";

/**
 * A cheap test of text that the schema takes as it is: true is a promise, false only means that
 * the schema itself has to judge. Undefined for a schema that may do more than to measure and
 * match. Parsing by the schema costs more than all the rest of a small request.
 */
export function plainTextTest(schema: z.ZodType): ((text: string | undefined) => boolean) | undefined {
  const isOptional = schema instanceof z.ZodOptional;
  const inner = isOptional ? schema.def.innerType : schema;
  if (!(inner instanceof z.ZodString) || inner.def.coerce === true || "check" in inner.def) return undefined;
  // oxlint-disable-next-line no-underscore-dangle -- where zod keeps the definition of a check
  const tests = (inner.def.checks ?? []).map((check) => testOf(check._zod.def));
  if (!tests.every((test) => test !== undefined)) return undefined;
  return (text) => (text === undefined ? isOptional : tests.every((test) => test(text)));
}

interface CheckDef {
  readonly check: string;
  readonly format?: string;
  readonly pattern?: RegExp;
  readonly minimum?: number;
  readonly maximum?: number;
}

function testOf({ check, format, pattern, minimum, maximum }: CheckDef): ((text: string) => boolean) | undefined {
  if (check === "min_length" && minimum !== undefined) return (text) => text.length >= minimum;
  if (check === "max_length" && maximum !== undefined) return (text) => text.length <= maximum;
  if (check !== "string_format" || format !== "regex" || pattern === undefined) return undefined;
  return pattern.global || pattern.sticky ? undefined : (text) => pattern.test(text);
}
