import * as z from "zod";
import { parseQuantity } from "#core/quantity.ts";
import { OperatorEnvironment } from "#operator/manifest.ts";
import { Quantity } from "./fields.ts";

const variables = OperatorEnvironment.shape;
/** What holds without a word of the configuration is the operator's own. */
const amountOf = (variable: z.ZodType<string, string | undefined>) => Quantity.prefault(variable.parse(undefined));

/** What the agent of each sandbox takes, on top of what the sandbox asks for itself. */
export const AgentResources = z
  .strictObject({
    requests: z
      .strictObject({
        cpu: amountOf(variables.ATOLL_SIDECAR_CPU_REQUEST).describe("Processor that the agent of a sandbox asks for"),
        memory: amountOf(variables.ATOLL_SIDECAR_MEMORY_REQUEST).describe("Memory that it asks for"),
      })
      .prefault({}),
    limits: z
      .strictObject({
        cpu: amountOf(variables.ATOLL_SIDECAR_CPU_LIMIT).describe(
          "Processor that it may use where every container of the sandbox has a limit",
        ),
        memory: amountOf(variables.ATOLL_SIDECAR_MEMORY_LIMIT).describe("The same of memory"),
      })
      .prefault({}),
  })
  .superRefine(({ requests, limits }, context) => {
    for (const name of ["cpu", "memory"] as const) {
      const [asked, most] = [parseQuantity(requests[name]), parseQuantity(limits[name])];
      if (asked === undefined || most === undefined || asked.nano <= most.nano) continue;
      const message = `the agent asks for ${requests[name]}, which is more than the limit`;
      context.addIssue({ code: "custom", path: ["limits", name], message });
    }
  })
  .prefault({});
