import { createRoute } from "@hono/zod-openapi";
import { AGENT_PATHS, FILE_SIZE_HEADER } from "#api/agent.ts";
import { answer } from "../../answer.ts";
import { callOf, type Gateway, type GatewayContext, type RouteDeps } from "../../gateway.ts";
import { bind } from "../bind.ts";
import { callAgent, type AgentRequest } from "./agent-call.ts";
import { guardBody } from "./guarded-body.ts";
import { FileQuery, SandboxParams } from "./parameters.ts";
import { problems } from "./responses.ts";
import { upload } from "./upload.ts";

/** The agent confirms a large upload only when it is on disk. */
const CONFIRM_MS = 3_600_000;
const OCTETS = "application/octet-stream";
const binary = { [OCTETS]: { schema: { type: "string" as const, format: "binary" } } };

/** Read and write of files. */
export function fileRoutes(app: Gateway, deps: RouteDeps): void {
  const { config, streams } = deps;
  bind(
    app,
    readRoute,
    async (c, { params, query }) => {
      const release = streams.acquire(c.env, params.sandboxId);
      try {
        return await openFile(c, deps, { sandboxId: params.sandboxId, query, release });
      } catch (error) {
        release();
        throw error;
      }
    },
    config,
  );
  bind(
    app,
    writeRoute,
    async (c, { params, query }) => {
      const request: AgentRequest = {
        method: "PUT",
        path: AGENT_PATHS.files,
        query,
        repeatable: true,
        answerMs: CONFIRM_MS,
      };
      return upload(c, deps, { sandboxId: params.sandboxId, request, stallMs: config.stallMs });
    },
    config,
  );
}

interface FileRequest {
  readonly sandboxId: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  release(): void;
}

async function openFile(
  c: GatewayContext,
  { backend, clock, config }: RouteDeps,
  { sandboxId, query, release }: FileRequest,
): Promise<Response> {
  const call = callOf(c);
  const agent = await backend.agent(sandboxId, call);
  const request: AgentRequest = {
    method: "GET",
    path: AGENT_PATHS.files,
    query,
    repeatable: true,
    answerMs: config.agentAnswerMs,
  };
  const { response, abort } = await callAgent(agent, request, { signal: call.signal, clock });
  const expectedBytes = lengthOf(response);
  const onClose = (error?: Error): void => {
    release();
    abort();
    if (error !== undefined) call.log.warn("file download broken", { sandbox_id: sandboxId, cause: error });
  };
  const source = response.body ?? new Blob([]).stream();
  const body = guardBody(source, { clock, stallMs: config.stallMs, expectedBytes, onClose });
  const length = expectedBytes === undefined ? {} : { "Content-Length": `${expectedBytes}` };
  return answer(c, 200, body, { "Content-Type": OCTETS, "Cache-Control": "no-cache, private", ...length });
}

/** The agent's body is chunked: its length alone would not tell a whole file from a cut one. */
function lengthOf(response: Response): number | undefined {
  const text = response.headers.get(FILE_SIZE_HEADER) ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

const readRoute = createRoute({
  method: "get",
  path: "/v1/sandboxes/{sandboxId}/filesystem",
  operationId: "readSandboxFilesystem",
  summary: "Read a file",
  tags: ["Files"],
  request: { params: SandboxParams, query: FileQuery },
  responses: { 200: { description: "The file's bytes", content: binary }, ...problems(400, 404, 409, 429, 502) },
});

const writeRoute = createRoute({
  method: "post",
  path: "/v1/sandboxes/{sandboxId}/filesystem",
  operationId: "writeSandboxFilesystem",
  summary: "Write a file",
  description: "Makes missing directories and replaces the file whole: a cut upload leaves what was there.",
  tags: ["Files"],
  request: { params: SandboxParams, query: FileQuery, body: { content: binary } },
  responses: { 204: { description: "Written" }, ...problems(400, 404, 409, 429, 502) },
});
