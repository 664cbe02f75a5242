import * as z from "zod";

/** Variables of a program's environment: text that means a number, a switch, a list or an address. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** A whole number. */
export const countVariable = (fallback: number, least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, "Expected a whole number")
    .transform(Number)
    .pipe(z.int().min(least).max(most))
    .default(fallback);

/** `true` or `false`. */
export const flagVariable = (fallback: boolean) =>
  z
    .enum(["true", "false"])
    .transform((text) => text === "true")
    .default(fallback);

/** Items split by commas or white space. */
export const listVariable = (fallback: string[] = []) =>
  z
    .string()
    .transform((text) => text.split(/[\s,]+/).filter((part) => part !== ""))
    .default(fallback);

const Listen = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}$/, "Expected host:port")
  .transform((text) => listenOf(text))
  .refine(({ port }) => port <= 65_535, "Expected a port up to 65535");

/** `host:port` to listen on; an IPv6 address in brackets; port 0 chooses a free one. */
export const listenVariable = (fallback: string) => Listen.prefault(fallback);

/** The same where nothing is listened on unless it is asked for. */
export const optionalListenVariable = () => Listen.optional();

export interface ListenAddress {
  readonly hostname: string;
  readonly port: number;
}

function listenOf(text: string): ListenAddress {
  const at = text.lastIndexOf(":");
  return { hostname: text.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(text.slice(at + 1)) };
}

/** Reads a program's variables. All faults in one message; empty is absent; unknown variables are somebody else's. */
export function parseEnvironment<S extends z.ZodObject>(schema: S, variables: Variables): Readonly<z.infer<S>> {
  const given = Object.fromEntries(
    Object.entries(variables).filter(([name, value]) => name in schema.shape && value !== ""),
  );
  const result = schema.safeParse(given);
  if (result.success) return Object.freeze(result.data);
  const faults = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new RangeError(`Cannot use the environment: ${faults.join("; ")}`);
}
