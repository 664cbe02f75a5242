import * as z from "zod";

export const Health = z.object({ status: z.string() }).meta({ id: "Health" });

/** Build facts of a program. `goVersion` is part of the released contract; ours names the JavaScript runtime. */
export const VersionInfo = z
  .object({
    gitVersion: z.string(),
    goVersion: z.string(),
    platform: z.string(),
    gitCommit: z.string().optional(),
    gitTreeState: z.string().optional(),
    buildDate: z.string().optional(),
  })
  .meta({ id: "VersionInfo" });

export type VersionInfo = z.infer<typeof VersionInfo>;
