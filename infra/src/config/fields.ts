import * as z from "zod";
import { canonicalQuantity, parseQuantity, quantityUnits } from "#core/quantity.ts";

/**
 * Text that a person may have typed as something else: `pulumi config set --path` turns `true`
 * and `8` into a boolean and a number.
 */
export const Text = z.union([z.string(), z.number(), z.boolean()]).transform(String);

export const Flag = z.boolean();

/** Labels, annotations and the like. */
export const TextMap = z.record(z.string(), Text).default({});

/** A name of an object of the cluster. */
export const ObjectName = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, "Expected lower-case letters, digits and -, at most 63");

export const Port = z.int().min(1).max(65_535);

/** A port that a Service opens on each node. */
export const NodePort = z
  .int()
  .min(1)
  .max(65_535)
  .optional()
  .describe("Port on each node; absent = the cluster chooses");

/** A quantity such as `500m` or `128Mi`, in the form in which the cluster gives it back: `1000m` is `1`. */
export const Quantity = z.union([z.string(), z.number()]).transform((value, context) => {
  const canonical = canonicalQuantity(String(value));
  if (canonical !== undefined) return canonical;
  context.issues.push({ code: "custom", message: "Expected a quantity such as 500m or 128Mi", input: value });
  return z.NEVER;
});

/** Whole bytes of such a quantity, as programs read them. */
export function bytesOf(quantity: string): string {
  const amount = parseQuantity(quantity);
  return amount === undefined ? "" : String(quantityUnits(amount));
}

/** What a container asks for and may use. */
export function resources(requests: Readonly<Record<string, string>>) {
  const Amounts = z.record(z.string(), Quantity);
  return z
    .strictObject({
      requests: Amounts.default(requests).describe("What the container asks for"),
      limits: Amounts.default({}).describe("What it may use at most"),
    })
    .prefault({});
}

/** A whole number that a program reads from this variable, which says what is taken and what holds without it. */
export function countOf(variable: z.ZodType<number, string | undefined>) {
  return z
    .int()
    .min(0)
    .check(({ value, issues }) => {
      const [fault] = variable.safeParse(String(value)).error?.issues ?? [];
      if (fault !== undefined) issues.push({ code: "custom", message: fault.message, input: value });
    })
    .default(variable.parse(undefined));
}

/** Whether and where a Service is reached from outside the cluster. */
export const ServiceType = z.enum(["ClusterIP", "NodePort", "LoadBalancer"]);

/** Where a program's metrics are found. */
export function metrics() {
  return z
    .strictObject({
      service: z
        .strictObject({
          enabled: Flag.default(true).describe("Make a Service for the metrics"),
          type: ServiceType.default("ClusterIP").describe("Type of that Service"),
          nodePort: NodePort,
        })
        .prefault({}),
    })
    .prefault({});
}

/** The account a program runs as. */
export function serviceAccount(name: string) {
  return z
    .strictObject({
      create: Flag.default(true).describe("Make the account; false = it exists"),
      name: ObjectName.default(name).describe("Its name"),
      annotations: TextMap.describe("Its annotations, such as those of a workload identity"),
    })
    .prefault({});
}

export const LogLevel = z
  .enum(["debug", "info", "warn", "error"])
  .default("info")
  .describe("Which lines are logged; they are JSON");
