import * as z from "zod";
import { InstallConfig, readInstallConfig } from "./config.ts";

interface Schema {
  /** Several for what is taken as text. */
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
}

/** One key of the configuration. */
export interface ReferenceRow {
  /** Path, such as `gateway.service.port`. */
  readonly path: string;
  readonly type: string;
  readonly fallback: string;
  readonly meaning: string;
}

/** All keys of an installation's configuration, as its schema has them. */
export function referenceRows(): readonly ReferenceRow[] {
  const schema = z.toJSONSchema(InstallConfig, { io: "input", unrepresentable: "any", reused: "inline" }) as Schema;
  const defaults = ownDefaults();
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => rowsOf(name, member, defaults[name]));
}

/** The least that an installation says: whether there are API keys. */
const SMALLEST = { gateway: JSON.stringify({ auth: { insecureNoAuth: true } }) };

/** What the smallest configuration has to say, and what follows from other keys, is no default. */
function ownDefaults(): Readonly<Record<string, unknown>> {
  const { gateway, operator, snapshots, ...others } = readInstallConfig(SMALLEST, "");
  return {
    ...others,
    snapshots: { ...snapshots, runsc: { ...snapshots.runsc, binaryPath: "" } },
    operator: { ...operator, sandboxes: { ...operator.sandboxes, runtimeClassName: "" } },
    gateway: { ...gateway, sandboxNamespace: "", auth: { ...gateway.auth, insecureNoAuth: false } },
  };
}

/** The rows as a Markdown table. */
export function referenceTable(): string {
  const rows = referenceRows().map(
    ({ path, type, fallback, meaning }) => `| \`${path}\` | ${type} | ${fallback} | ${meaning} |`,
  );
  return ["| Key | Type | Default | Meaning |", "|---|---|---|---|", ...rows].join("\n");
}

function rowsOf(path: string, schema: Schema, fallback: unknown): readonly ReferenceRow[] {
  const own = rowOf(path, schema, fallback);
  if (schema.properties !== undefined) {
    const members = Object.entries(schema.properties).flatMap(([name, member]) =>
      rowsOf(`${path}.${name}`, member, memberOf(fallback, name)),
    );
    return schema.description === undefined ? members : [own, ...members];
  }
  // The members of a toleration are Kubernetes' own; ours say what they mean.
  const ours = Object.entries(schema.items?.properties ?? {}).filter(([, member]) => member.description !== undefined);
  const first = Array.isArray(fallback) ? (fallback[0] as unknown) : undefined;
  const isNamed = (name: string): boolean => name === "name";
  return [
    {
      ...own,
      ...(ours.length === 0 ? {} : { fallback: `\`${JSON.stringify([{ name: memberOf(first, "name") }])}\`` }),
    },
    ...ours.flatMap(([name, member]) =>
      rowsOf(`${path}[].${name}`, member, isNamed(name) ? undefined : memberOf(first, name)),
    ),
  ];
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function rowOf(path: string, schema: Schema, fallback: unknown): ReferenceRow {
  const isGroup = schema.properties !== undefined;
  return {
    path,
    type: isGroup ? "" : typeOf(schema),
    fallback: isGroup || fallback === undefined ? "" : `\`${JSON.stringify(fallback)}\``,
    meaning: schema.description ?? "",
  };
}

function typeOf({ type, enum: values, anyOf, items, additionalProperties }: Schema): string {
  if (values !== undefined) return values.map((value) => `\`${String(value)}\``).join(", ");
  if (anyOf !== undefined) return anyOf.some((one) => one.type === "string") ? "text" : "number";
  if (type === "array")
    return `list of ${items === undefined || items.type === "object" || items.type === undefined ? "objects" : typeOf(items)}`;
  if (type === "object" || type === undefined) return additionalProperties === undefined ? "object" : "map of text";
  return type === "boolean" ? "flag" : type === "integer" ? "number" : "text";
}
