import * as z from "zod";

/** One fault in a request: where it is, what would be right, and the value found. */
export const ProblemFault = z
  .object({
    message: z.string(),
    location: z.string().optional(),
    value: z.unknown().optional(),
  })
  .meta({ id: "ProblemFault" });

/** RFC 9457 problem document; every error answer has this shape. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().optional(),
    errors: z.array(ProblemFault).optional(),
    /** 410 `output-gone`: the first byte of the stream that is still kept. */
    firstByte: z.int().optional(),
  })
  .meta({ id: "Problem" });

export type ProblemFault = z.infer<typeof ProblemFault>;
export type Problem = z.infer<typeof Problem>;

export { PROBLEMS, problemSlug, type ProblemSlug } from "./problem-registry.ts";
