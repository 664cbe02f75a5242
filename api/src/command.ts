import * as z from "zod";
import { CommandId, PositiveSeconds } from "./scalars.ts";

/** Body of `POST /v1/sandboxes/{sandboxId}/commands`. `args[0]` is the program. */
export const CreateCommandRequest = z
  .strictObject({
    $schema: z.string().optional(),
    args: z.array(z.string()).min(1).max(65_536),
    env: z.record(z.string(), z.string()).optional(),
    cwd: z.string().optional(),
    timeoutSeconds: PositiveSeconds.optional(),
  })
  .meta({ id: "CreateCommandRequest" });

export const CreateCommandResponse = z.object({ id: CommandId }).meta({ id: "CreateCommandResponse" });

/** `exitCode` is null while the command runs and -1 when a signal ended it. */
export const CommandStatus = z.object({ exitCode: z.int().nullable() }).meta({ id: "CommandStatus" });

export type CreateCommandRequest = z.infer<typeof CreateCommandRequest>;
export type CommandStatus = z.infer<typeof CommandStatus>;
