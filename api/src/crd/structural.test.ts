import { describe, expect, it } from "vitest";
import * as z from "zod";
import { celRules } from "./cel.ts";
import { structural, type JsonSchema } from "./structural.ts";

const of = (schema: z.ZodType) => structural(z.toJSONSchema(schema, { target: "openapi-3.0", io: "input" }));

describe("structural()", () => {
  it.each<[string, z.ZodType, object]>([
    [
      "puts named parts where they are used",
      z.object({ first: z.object({ x: z.string() }).meta({ id: "Part" }) }),
      {
        type: "object",
        required: ["first"],
        properties: { first: { type: "object", required: ["x"], properties: { x: { type: "string" } } } },
      },
    ],
    [
      "prunes unknown members of a closed object in silence",
      z.strictObject({ x: z.boolean().exactOptional() }),
      { type: "object", properties: { x: { type: "boolean" } } },
    ],
    [
      "keeps unknown members of a loose object",
      z.looseObject({ x: z.boolean().exactOptional() }),
      { type: "object", properties: { x: { type: "boolean" } }, "x-kubernetes-preserve-unknown-fields": true },
    ],
    ["keeps a value of any kind", z.unknown(), { "x-kubernetes-preserve-unknown-fields": true }],
    [
      "writes a map",
      z.record(z.string(), z.string().max(5)),
      { type: "object", additionalProperties: { type: "string", maxLength: 5 } },
    ],
    ["drops the bounds of exact numbers, not others", z.int().min(1), { type: "integer", minimum: 1 }],
    ["drops both bounds of exact numbers", z.int(), { type: "integer" }],
    [
      "writes integer or string the Kubernetes way",
      z.union([z.int(), z.string().regex(/^\d+%$/)]),
      { "x-kubernetes-int-or-string": true },
    ],
    ["says a format in one word", z.iso.datetime(), { type: "string", format: "date-time" }],
    ["writes a constant as the only choice", z.literal("a"), { type: "string", enum: ["a"] }],
    ["keeps null where it may be", z.string().nullable(), { type: "string", nullable: true }],
    [
      "passes rules through beside their field",
      z.string().meta(celRules({ rule: "self != ''", message: "no" })),
      { type: "string", "x-kubernetes-validations": [{ rule: "self != ''", message: "no" }] },
    ],
    [
      "leaves out what the API server does not know",
      z.array(z.string()).readonly(),
      { type: "array", items: { type: "string" } },
    ],
    [
      "leaves a member with a default out of the required ones",
      z.object({ x: z.int().min(1).default(3) }),
      { type: "object", properties: { x: { type: "integer", minimum: 1, default: 3 } } },
    ],
    [
      "declares the members of a union's branches once, outside of them",
      z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("a"), x: z.int().min(1) }),
        z.object({ kind: z.literal("b"), y: z.string().max(3).exactOptional() }),
      ]),
      {
        type: "object",
        properties: {
          kind: { type: "string" },
          x: { type: "integer", minimum: 1 },
          y: { type: "string", maxLength: 3 },
        },
        oneOf: [
          { required: ["kind", "x"], properties: { kind: { enum: ["a"] }, x: { minimum: 1 } } },
          { required: ["kind"], properties: { kind: { enum: ["b"] }, y: { maxLength: 3 } } },
        ],
      },
    ],
  ])("%s", (_, schema, expected) => expect(of(schema)).toEqual(expected));

  const node: z.ZodType = z.object({
    get next() {
      return node.optional();
    },
  });
  it.each<[string, z.ZodType, RegExp]>([
    ["a pattern with look-around", z.object({ x: z.string().regex(/^(?!a)/) }), /pattern at \.x: .* no look-around/],
    ["a schema that contains itself", node, /contains itself/],
    [
      "a union of unlike types",
      z.object({ x: z.union([z.string(), z.object({})]) }),
      /union at \.x: its branches differ/,
    ],
    ["a member of two types", z.union([z.object({ x: z.string() }), z.object({ x: z.int() })]), /"x" has two types/],
    ["a map with named members", z.object({ x: z.string() }).catchall(z.string()), /named members and a map/],
  ])("refuses %s", (_, schema, message) => expect(() => of(schema)).toThrow(message));

  it.each<[JsonSchema, RegExp]>([
    [{ type: "object", patternProperties: {} }, /keyword "patternProperties"/],
    [{ $ref: "#/definitions/Missing" }, /Cannot find/],
  ])("refuses %j", (schema, message) => expect(() => structural(schema)).toThrow(message));
});
