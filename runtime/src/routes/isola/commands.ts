import { createRoute } from "@hono/zod-openapi";
import * as z from "zod";
import { AGENT_PATHS, FRAME_MEDIA_TYPE } from "#api/agent-protocol.ts";
import { CommandStatus, CreateCommandRequest, CreateCommandResponse } from "#api/command.ts";
import { commandIdOfKey } from "#core/derived-id.ts";
import { ProblemError } from "#core/problem-error.ts";
import { answer, answerJson } from "../../answer.ts";
import { callOf, type Gateway, type RouteDeps } from "../../gateway.ts";
import { bind } from "../bind.ts";
import { callAgent, readCommand, type AgentRequest } from "./agent-call.ts";
import { commandRequest, toAgentCommand } from "./command-requests.ts";
import { answerRun } from "./command-run.ts";
import { wantsFrames } from "./frames-answer.ts";
import { CommandParams, ContainerQuery, IdempotencyKey, SandboxParams, WaitQuery } from "./parameters.ts";
import { problems } from "./responses.ts";

const json = <S extends z.ZodType>(schema: S) => ({ "application/json": { schema } });

/** Create, status and kill of commands. */
export function commandRoutes(app: Gateway, deps: RouteDeps): void {
  const { backend, clock, ids, config } = deps;
  const { agentAnswerMs } = config;
  bind(
    app,
    createCommandRoute,
    async (c, { params, query, headers, body }) => {
      const call = callOf(c);
      const key = headers["Idempotency-Key"];
      const id = key === undefined ? ids.commandId() : await commandIdOfKey(params.sandboxId, key);
      const request: AgentRequest = {
        method: "POST",
        path: AGENT_PATHS.commands,
        query,
        body: JSON.stringify(toAgentCommand(id, body)),
        repeatable: key !== undefined,
        answerMs: agentAnswerMs,
      };
      if (wantsFrames(c)) return answerRun(c, deps, { sandboxId: params.sandboxId, id, request });
      const agent = await backend.agent(params.sandboxId, call);
      await readCommand(request, await callAgent(agent, request, { signal: call.signal, clock }), clock);
      return answerJson(c, 202, { id });
    },
    config,
  );
  bind(
    app,
    statusRoute,
    async (c, { params, query }) => {
      const call = callOf(c);
      const waitMs = (query.waitSeconds ?? 0) * 1000;
      const answerMs = agentAnswerMs + waitMs;
      const request = commandRequest(params.id, "", {
        method: "GET",
        query: { waitMs: `${waitMs}` },
        repeatable: true,
        answerMs,
      });
      const agent = await backend.agent(params.sandboxId, call);
      const view = await readCommand(request, await callAgent(agent, request, { signal: call.signal, clock }), clock);
      if (view.state === "unknown") throw outcomeUnknown(params.id);
      return answerJson(c, 200, { exitCode: view.state === "running" ? null : (view.exitCode ?? -1) });
    },
    config,
  );
  bind(
    app,
    deleteRoute,
    async (c, { params }) => {
      const call = callOf(c);
      const request = commandRequest(params.id, "", { method: "DELETE", repeatable: true, answerMs: agentAnswerMs });
      const agent = await backend.agent(params.sandboxId, call);
      const { response } = await callAgent(agent, request, { signal: call.signal, clock });
      await response.body?.cancel();
      return answer(c, 204, null);
    },
    config,
  );
}

/** Nobody saw the command end: neither success nor failure may be claimed. */
export function outcomeUnknown(id: string): ProblemError {
  return new ProblemError(
    "outcome-unknown",
    `The outcome of the command "${id}" is unknown: the agent restarted while it ran.`,
  );
}

const createCommandRoute = createRoute({
  method: "post",
  path: "/v1/sandboxes/{sandboxId}/commands",
  operationId: "createSandboxCommand",
  summary: "Start a command",
  description:
    `With \`Accept: ${FRAME_MEDIA_TYPE}\` the answer is 200 and follows the whole run: the id is in the header ` +
    "`X-Command-Id`, the body has both outputs in frames like those of an output stream, of the kinds 5 (standard " +
    "output), 6 (standard error), 2 (idle), 4 (lost) and 7 (exited). An exited frame is the last, and the only sign " +
    "that the run is complete: the exit code as signed 32 bits, -1 when a signal ended the command, and the total " +
    "lengths of standard output and standard error as 64 bits each, big-endian. A body that ends without it was cut: " +
    "the command goes on, and its status and outputs tell the rest. Closing the connection does not end the command.",
  tags: ["Commands"],
  request: {
    params: SandboxParams,
    query: ContainerQuery,
    headers: z.object({ "Idempotency-Key": IdempotencyKey.optional() }),
    body: { required: true, content: json(CreateCommandRequest) },
  },
  responses: {
    200: {
      description: "Started; its run follows",
      headers: z.object({ "X-Command-Id": z.string().describe("The command's id") }),
      content: { [FRAME_MEDIA_TYPE]: { schema: { type: "string", format: "binary" } } },
    },
    202: { description: "Started", content: json(CreateCommandResponse) },
    ...problems(400, 404, 409, 410, 413, 415, 429, 502),
  },
});

const statusRoute = createRoute({
  method: "get",
  path: "/v1/sandboxes/{sandboxId}/commands/{id}/status",
  operationId: "getSandboxCommandStatus",
  summary: "Exit code of a command, null while it runs",
  description: "A command whose end nobody saw is a 409 `outcome-unknown`.",
  tags: ["Commands"],
  request: { params: CommandParams, query: WaitQuery },
  responses: { 200: { description: "The status", content: json(CommandStatus) }, ...problems(404, 409, 502) },
});

const deleteRoute = createRoute({
  method: "delete",
  path: "/v1/sandboxes/{sandboxId}/commands/{id}",
  operationId: "deleteSandboxCommand",
  summary: "Kill a command and its process group",
  description: "Its output stays; its exit code is -1. Killing one that has ended is no fault.",
  tags: ["Commands"],
  request: { params: CommandParams },
  responses: { 204: { description: "Killed or ended before" }, ...problems(404, 409, 502) },
});
