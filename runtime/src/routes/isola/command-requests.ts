import { AGENT_PATHS, type AgentCreateCommand } from "#api/agent.ts";
import type { CreateCommandRequest } from "#api/command.ts";
import type { ProblemFault } from "#api/problem.ts";
import { invalid } from "../bind.ts";
import type { AgentRequest } from "./agent-call.ts";
import { isVariableName } from "./check-create.ts";

type Action = "" | "/stdout" | "/stderr" | "/stdin" | "/stdin/close";

/** The agent's request for one of a command's resources. */
export function commandRequest(id: string, action: Action, rest: Omit<AgentRequest, "path">): AgentRequest {
  return { ...rest, path: `${AGENT_PATHS.commands}/${id}${action}` };
}

/** The agent's body of a create; `validation-failed` for what the kernel cannot take. */
export function toAgentCommand(
  id: string,
  { args, env, cwd, timeoutSeconds }: CreateCommandRequest,
): AgentCreateCommand {
  const faults: ProblemFault[] = [];
  const nul = { message: "Must not contain NUL" };
  if (args.some((arg) => arg.includes("\0"))) faults.push({ location: "body.args", ...nul });
  if (cwd?.includes("\0")) faults.push({ location: "body.cwd", ...nul });
  if (Object.keys(env ?? {}).some((name) => !isVariableName(name))) {
    faults.push({ location: "body.env", message: 'Names must not be empty or contain "=" or NUL' });
  }
  if (Object.values(env ?? {}).some((value) => value.includes("\0"))) faults.push({ location: "body.env", ...nul });
  if (faults.length > 0) throw invalid(faults);
  return {
    id,
    args,
    ...(env === undefined ? {} : { env }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(timeoutSeconds === undefined ? {} : { timeoutMs: timeoutSeconds * 1000 }),
  };
}
