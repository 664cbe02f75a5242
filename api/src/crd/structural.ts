/** A JSON Schema as zod writes it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What the API server accepts as a structural schema. */
export interface StructuralSchema {
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly items?: StructuralSchema;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly [keyword: string]: unknown;
}

/** Keywords that mean the same in both worlds. */
const KEPT = new Set([
  "type",
  "description",
  "format",
  "default",
  "enum",
  "nullable",
  "pattern",
  "minLength",
  "maxLength",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minItems",
  "maxItems",
  "uniqueItems",
  "minProperties",
  "maxProperties",
  "required",
]);
/** Keywords that say nothing to the API server. */
const DROPPED = new Set(["$schema", "id", "title", "examples", "deprecated", "readOnly", "writeOnly", "definitions"]);
/** Keywords that a branch of a union may not repeat: its parent has them. */
const PARENTS_ONLY = new Set(["type", "description", "default", "nullable", "additionalProperties", "items"]);
const UNIONS = ["anyOf", "oneOf", "allOf"] as const;
const LOOK_AROUND = /\(\?(?:[=!]|<[=!])/;

interface Place {
  readonly path: string;
  readonly definitions: Readonly<Record<string, JsonSchema>>;
  /** References on the way here. */
  readonly open: readonly string[];
}

/**
 * Rewrites a JSON Schema (zod's `openapi-3.0` target, `input` side) into the structural form that
 * custom resources need. Throws RangeError, naming the place, for what that form cannot say.
 */
export function structural(schema: JsonSchema): StructuralSchema {
  const definitions = (schema["definitions"] ?? {}) as Record<string, JsonSchema>;
  return rewrite(schema, { path: "", definitions, open: [] });
}

function rewrite(source: JsonSchema, at: Place): StructuralSchema {
  const target = source["$ref"];
  if (typeof target === "string") return rewrite(...resolve(target, source, at));
  const union = UNIONS.find((keyword) => Array.isArray(source[keyword]));
  if (union !== undefined) return rewriteUnion(source, union, at);
  const result: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(source)) Object.assign(result, keywordOf(keyword, value, source, at));
  // A value of any kind.
  return Object.keys(result).some((keyword) => keyword !== "description")
    ? result
    : { ...result, "x-kubernetes-preserve-unknown-fields": true };
}

function keywordOf(keyword: string, value: unknown, source: JsonSchema, at: Place): JsonSchema {
  if (keyword === "properties") return { properties: rewriteProperties(value as Record<string, JsonSchema>, at) };
  if (keyword === "items") return { items: rewrite(value as JsonSchema, step(at, "[]")) };
  if (keyword === "additionalProperties") return additional(value as JsonSchema | boolean, source, at);
  if (keyword === "const") return { enum: [value] };
  // A format says it in one word.
  if (keyword === "pattern" && source["format"] !== undefined) return {};
  if (keyword === "pattern" && LOOK_AROUND.test(String(value))) {
    throw new RangeError(`Cannot use the pattern at ${at.path}: the API server knows no look-around: ${String(value)}`);
  }
  // The bounds of exact numbers in JavaScript, no rule of ours.
  if ((keyword === "minimum" || keyword === "maximum") && Math.abs(Number(value)) === Number.MAX_SAFE_INTEGER)
    return {};
  if (KEPT.has(keyword) || keyword.startsWith("x-kubernetes-")) return { [keyword]: value };
  if (DROPPED.has(keyword)) return {};
  throw new RangeError(`Cannot write the keyword "${keyword}" at ${at.path} as a structural schema`);
}

function rewriteProperties(properties: Record<string, JsonSchema>, at: Place): Record<string, StructuralSchema> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, rewrite(schema, step(at, `.${name}`))]),
  );
}

/** Unknown members are pruned unless the schema keeps them; a map has values and no properties. */
function additional(value: JsonSchema | boolean, source: JsonSchema, at: Place): JsonSchema {
  const anything = value === true || (typeof value === "object" && Object.keys(value).length === 0);
  if (anything) return { "x-kubernetes-preserve-unknown-fields": true };
  if (value === false) return {};
  if (source["properties"] !== undefined) {
    throw new RangeError(`Cannot have named members and a map at ${at.path}`);
  }
  return { additionalProperties: rewrite(value, step(at, ".*")) };
}

/** The API server wants each member declared once, outside of the branches, which then only restrict. */
function rewriteUnion(source: JsonSchema, keyword: (typeof UNIONS)[number], at: Place): StructuralSchema {
  const { [keyword]: list, ...rest } = source;
  const branches = (list as JsonSchema[]).map((branch) => rewrite(branch, at));
  const types = new Set(branches.map((branch) => branch.type));
  const own = Object.keys(rest).length === 0 ? {} : rewriteRest(rest, at);
  if (types.size === 2 && types.has("integer") && types.has("string")) {
    return { ...own, "x-kubernetes-int-or-string": true };
  }
  const [type] = types;
  if (types.size !== 1 || type === undefined) {
    throw new RangeError(`Cannot write the union at ${at.path}: its branches differ in type`);
  }
  const lifted = branches.reduce((all, branch) => mergeProperties(all, branch.properties, at), own.properties ?? {});
  return {
    ...own,
    type,
    ...(Object.keys(lifted).length === 0 ? {} : { properties: lifted }),
    [keyword]: branches.map(restriction),
  };
}

function rewriteRest(rest: JsonSchema, at: Place): StructuralSchema {
  const { "x-kubernetes-preserve-unknown-fields": _, ...own } = rewrite(rest, at);
  return own;
}

function mergeProperties(
  all: Readonly<Record<string, StructuralSchema>>,
  more: Readonly<Record<string, StructuralSchema>> | undefined,
  at: Place,
): Record<string, StructuralSchema> {
  const merged: Record<string, StructuralSchema> = { ...all };
  for (const [name, schema] of Object.entries(more ?? {})) {
    const known = merged[name];
    if (known !== undefined && known.type !== schema.type) {
      throw new RangeError(`Cannot write the union at ${at.path}: "${name}" has two types`);
    }
    merged[name] = known === undefined ? schema : common(known, schema);
  }
  return merged;
}

/** What two branches say alike of one member; the rest is each branch's own restriction. */
function common(a: StructuralSchema, b: StructuralSchema): StructuralSchema {
  const alike = Object.entries(a).filter(([keyword, value]) => JSON.stringify(b[keyword]) === JSON.stringify(value));
  return Object.fromEntries(alike);
}

function restriction(branch: StructuralSchema): StructuralSchema {
  const entries = Object.entries(branch).filter(
    ([keyword]) => !PARENTS_ONLY.has(keyword) && !keyword.startsWith("x-kubernetes-"),
  );
  const { properties, ...own } = Object.fromEntries(entries) as StructuralSchema;
  const restricted = Object.entries(properties ?? {})
    .map(([name, schema]) => [name, restriction(schema)] as const)
    .filter(([, schema]) => Object.keys(schema).length > 0);
  return restricted.length === 0 ? own : { ...own, properties: Object.fromEntries(restricted) };
}

function resolve(target: string, source: JsonSchema, at: Place): [JsonSchema, Place] {
  const name = target.replace(/^#\/(definitions|components\/schemas)\//, "");
  const definition = at.definitions[name];
  if (definition === undefined && target !== "#") throw new RangeError(`Cannot find "${target}", named at ${at.path}`);
  if (definition === undefined || at.open.includes(name))
    throw new RangeError(`Cannot write "${name}" at ${at.path}: it contains itself`);
  const { $ref: _, ...beside } = source;
  return [
    { ...definition, ...beside },
    { ...at, open: [...at.open, name] },
  ];
}

function step(at: Place, part: string): Place {
  return { ...at, path: `${at.path}${part}` };
}
