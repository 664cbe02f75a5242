import { createRoute } from "@hono/zod-openapi";
import * as z from "zod";
import { CreateSandboxRequest, SandboxList, SandboxResponse } from "#api/sandbox.ts";
import { SandboxId } from "#api/scalars.ts";
import { answer, answerJson, answerJsonText } from "../../answer.ts";
import { callOf, type Gateway, type RouteDeps } from "../../gateway.ts";
import { bind } from "../bind.ts";
import { toSummary } from "./convert.ts";
import { createSandbox } from "./create-sandbox.ts";
import { IdempotencyKey } from "./parameters.ts";
import { problems } from "./responses.ts";
import { createSandboxWriter } from "./sandbox-text.ts";

const Params = z.object({ id: SandboxId });
const json = <S extends z.ZodType>(schema: S) => ({ "application/json": { schema } });

/** Create, list, get and delete. */
export function sandboxRoutes(app: Gateway, deps: RouteDeps): void {
  const { backend, config } = deps;
  const write = createSandboxWriter();
  bind(
    app,
    createRouteConfig,
    async (c, { body, headers }) => {
      const sandbox = await createSandbox(body, headers["Idempotency-Key"], { ...deps, call: callOf(c) });
      return answerJsonText(c, 201, write(sandbox));
    },
    config,
  );
  bind(
    app,
    listRoute,
    async (c) => {
      const { items } = await backend.list({}, callOf(c));
      return answerJson(c, 200, { sandboxes: items.map(toSummary) });
    },
    config,
  );
  bind(
    app,
    getRoute,
    (c, { params }) => backend.get(params.id, callOf(c)).then((sandbox) => answerJsonText(c, 200, write(sandbox))),
    config,
  );
  bind(
    app,
    deleteRoute,
    async (c, { params }) => {
      await backend.remove(params.id, callOf(c));
      return answer(c, 204, null);
    },
    config,
  );
}

const createRouteConfig = createRoute({
  method: "post",
  path: "/v1/sandboxes",
  operationId: "createSandbox",
  summary: "Create a sandbox",
  description:
    "Answers when the sandbox is Running or has failed, or Pending after a bounded wait. " +
    "A start that fails is a 201 with status Failed and the reason. " +
    "A caller that disconnects before the answer and gave no Idempotency-Key gets its sandbox removed.",
  tags: ["Sandboxes"],
  request: {
    headers: z.object({ "Idempotency-Key": IdempotencyKey.optional() }),
    body: { required: true, content: json(CreateSandboxRequest) },
  },
  responses: {
    201: { description: "The sandbox", content: json(SandboxResponse) },
    ...problems(400, 409, 413, 415, 429),
  },
});

const listRoute = createRoute({
  method: "get",
  path: "/v1/sandboxes",
  operationId: "listSandboxes",
  summary: "List sandboxes",
  tags: ["Sandboxes"],
  responses: {
    200: { description: "All sandboxes, in the order of their creation", content: json(SandboxList) },
    ...problems(),
  },
});

const getRoute = createRoute({
  method: "get",
  path: "/v1/sandboxes/{id}",
  operationId: "getSandbox",
  summary: "Get a sandbox",
  tags: ["Sandboxes"],
  request: { params: Params },
  responses: { 200: { description: "The sandbox", content: json(SandboxResponse) }, ...problems(404) },
});

const deleteRoute = createRoute({
  method: "delete",
  path: "/v1/sandboxes/{id}",
  operationId: "deleteSandbox",
  summary: "Delete a sandbox",
  description: "Idempotent: deleting what is not there is no fault.",
  tags: ["Sandboxes"],
  request: { params: Params },
  responses: { 204: { description: "The removal is under way, or there was nothing to remove" }, ...problems() },
});
