import type { RouteConfig } from "@hono/zod-openapi";
import * as z from "zod";
import type { ProblemFault } from "#api/problem.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { Gateway, GatewayContext } from "../gateway.ts";
import { plainTextTest } from "./plain-text.ts";
import { readJson } from "./read-json.ts";
import { toFaults, type RequestPart } from "./validation-faults.ts";

type Part<R, K extends string> = R extends { request: Record<K, infer S extends z.ZodType> }
  ? z.infer<S>
  : Record<never, never>;
type Body<R> = R extends {
  request: { body: { content: { "application/json": { schema: infer S extends z.ZodType } } } };
}
  ? z.infer<S>
  : undefined;

/** A request's parts, parsed by the schemas of its route. */
export interface RouteInput<R> {
  readonly params: Part<R, "params">;
  readonly query: Part<R, "query">;
  readonly headers: Part<R, "headers">;
  readonly body: Body<R>;
}

export interface BindOptions {
  readonly maxJsonBytes: number;
}

/**
 * Serves one route object: it is put into the OpenAPI document, and the same schemas check each
 * request. Every fault in the parts of a request is a 422 that names it.
 */
export function bind<const R extends RouteConfig>(
  app: Gateway,
  route: R,
  handler: (c: GatewayContext, input: RouteInput<R>) => Promise<Response> | Response,
  options: BindOptions,
): void {
  app.openAPIRegistry.registerPath(route);
  const params = reader(route.request?.params, "path");
  const query = reader(route.request?.query, "query");
  const headers = reader(route.request?.headers, "header");
  const body = jsonSchemaOf(route);
  const pattern = route.path.replaceAll(/\{(\w+)\}/g, ":$1");
  app.on(route.method.toUpperCase(), pattern, (c): Response | Promise<Response> => {
    c.env.routed(pattern);
    const faults: ProblemFault[] = [];
    const input = {
      params: params(c, faults),
      query: query(c, faults),
      headers: headers(c, faults),
      body: undefined as unknown,
    };
    if (faults.length > 0) throw invalid(faults);
    if (body === undefined) return handler(c, input as RouteInput<R>);
    return readJson(c.req.raw, options.maxJsonBytes).then((value) => {
      input.body = parse(body, value, "body", faults);
      if (faults.length > 0) throw invalid(faults);
      return handler(c, input as RouteInput<R>);
    });
  });
}

/** A 422 whose detail, which is all that the released clients show, has the first fault in full. */
export function invalid(faults: readonly ProblemFault[]): ProblemError {
  const [first] = faults;
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
  return new ProblemError("validation-failed", `${first?.location}: ${first?.message}${more}`, { errors: faults });
}

type Reader = (c: GatewayContext, faults: ProblemFault[]) => unknown;

const READ = {
  path: ({ req }: GatewayContext, name: string) => req.param(name),
  query: ({ req }: GatewayContext, name: string) => req.query(name),
  header: ({ req }: GatewayContext, name: string) => req.header(name),
} as const;

/** One value of a request's part and what its schema makes of it. */
interface Member {
  readonly name: string;
  readonly isInteger: boolean;
  /** True for text that needs no parsing. */
  readonly isPlain: (text: string | undefined) => boolean;
}

/** Collects the values that a part's schema names and parses them; text becomes a number where the schema has one. */
function reader(schema: unknown, part: keyof typeof READ): Reader {
  if (!(schema instanceof z.ZodObject)) return () => ({});
  const members = Object.entries<z.ZodType>(schema.shape).map(([name, member]): Member => ({
    name,
    isInteger: z.toJSONSchema(member, { io: "input" }).type === "integer",
    isPlain: plainTextTest(member) ?? (() => false),
  }));
  const isWholePlain = (schema.def.checks ?? []).length === 0;
  const read = READ[part];
  return (c, faults) => {
    const values: Record<string, unknown> = {};
    let isPlain = isWholePlain;
    for (const member of members) {
      const text = read(c, member.name);
      isPlain &&= member.isPlain(text);
      if (text !== undefined) values[member.name] = member.isInteger ? toInteger(text) : text;
    }
    return isPlain ? values : parse(schema, values, part, faults);
  };
}

function toInteger(text: string): number | string {
  return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}

function parse(schema: z.ZodType, value: unknown, part: RequestPart, faults: ProblemFault[]): unknown {
  const result = schema.safeParse(value);
  if (!result.success) faults.push(...toFaults(result.error, value, part));
  return result.data;
}

function jsonSchemaOf(route: RouteConfig): z.ZodType | undefined {
  const content = route.request?.body?.content["application/json"];
  return content !== undefined && "schema" in content && content.schema instanceof z.ZodType
    ? content.schema
    : undefined;
}
