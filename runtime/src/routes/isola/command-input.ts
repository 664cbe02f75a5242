import { createRoute } from "@hono/zod-openapi";
import { answer } from "../../answer.ts";
import { callOf, type Gateway, type RouteDeps } from "../../gateway.ts";
import { bind } from "../bind.ts";
import { callAgent } from "./agent-call.ts";
import { commandRequest } from "./command-requests.ts";
import { CommandParams } from "./parameters.ts";
import { problems } from "./responses.ts";
import { upload } from "./upload.ts";

/** The agent confirms only when the command has taken all of it, which may be never. */
const NO_LIMIT_MS = 2 ** 31 - 1;

/** Standard input of a command. */
export function commandInputRoutes(app: Gateway, deps: RouteDeps): void {
  const { backend, clock, config } = deps;
  bind(
    app,
    stdinRoute,
    async (c, { params }) => {
      const request = commandRequest(params.id, "/stdin", { method: "POST", repeatable: false, answerMs: NO_LIMIT_MS });
      return upload(c, deps, { sandboxId: params.sandboxId, request });
    },
    config,
  );
  bind(
    app,
    closeRoute,
    async (c, { params }) => {
      const call = callOf(c);
      const request = commandRequest(params.id, "/stdin/close", {
        method: "POST",
        repeatable: false,
        answerMs: config.agentAnswerMs,
      });
      const agent = await backend.agent(params.sandboxId, call);
      const { response } = await callAgent(agent, request, { signal: call.signal, clock });
      await response.body?.cancel();
      return answer(c, 204, null);
    },
    config,
  );
}

const stdinRoute = createRoute({
  method: "post",
  path: "/v1/sandboxes/{sandboxId}/commands/{id}/stdin",
  operationId: "postSandboxCommandStdin",
  summary: "Write to a command's standard input",
  description: "Answers when the command's pipe has taken all bytes. Bodies of several requests never mix.",
  tags: ["Commands"],
  request: {
    params: CommandParams,
    body: { content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } } },
  },
  responses: { 204: { description: "Written" }, ...problems(400, 404, 409, 429, 502) },
});

const closeRoute = createRoute({
  method: "post",
  path: "/v1/sandboxes/{sandboxId}/commands/{id}/stdin/close",
  operationId: "closeSandboxCommandStdin",
  summary: "Close a command's standard input",
  tags: ["Commands"],
  request: { params: CommandParams },
  responses: { 204: { description: "Closed" }, ...problems(404, 409, 502) },
});
