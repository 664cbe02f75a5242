import * as z from "zod";
import { CommandId, ContainerName, SandboxId } from "#api/scalars.ts";

/** Names a repeat of the same create: 1 to 255 printable ASCII characters. */
export const IdempotencyKey = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, "Expected printable ASCII")
  .describe("The same key answers with what the first request made; a different request with it is a 422.");

/** Sent back by a client that resumes: the last `id` it saw. A bad one is a 400, by contract not a 422. */
export const LastEventId = z
  .string()
  .max(255)
  .describe("Byte offset at which the stream starts; absent or empty is 0.");

export const SandboxParams = z.object({ sandboxId: SandboxId });
export const CommandParams = z.object({ sandboxId: SandboxId, id: CommandId });
export const ContainerQuery = z.object({
  container: ContainerName.optional().describe("Needed when the sandbox has several containers."),
});
export const FileQuery = ContainerQuery.extend({
  path: z
    .string()
    .min(1)
    .max(4096)
    // The pattern is text, as a literal may not name a control character.
    .regex(new RegExp(String.raw`^[^\x00]*$`), "Must not contain NUL")
    .describe("Absolute, or relative to the container's working directory."),
});
export const WaitQuery = z.object({
  waitSeconds: z
    .int()
    .min(0)
    .max(25)
    .optional()
    .describe("Answers as soon as the command ends, at the latest after so long."),
});
