import { createRoute } from "@hono/zod-openapi";
import { Health, VersionInfo } from "#api/system.ts";
import { answerJson } from "../../answer.ts";
import { callOf, type Gateway, type RouteDeps } from "../../gateway.ts";
import { bind } from "../bind.ts";
import { problems } from "./responses.ts";

const HEALTH_PATHS = ["/health", "/healthz"] as const;
const READY_PATHS = ["/ready", "/readyz"] as const;

/** Liveness, readiness and version: answered without an API key. */
export function systemRoutes(app: Gateway, { backend, config, version }: RouteDeps): void {
  for (const path of HEALTH_PATHS) bind(app, healthRoute(path), (c) => answerJson(c, 200, { status: "ok" }), config);
  for (const path of READY_PATHS) {
    const answer = async (c: Parameters<typeof callOf>[0]): Promise<Response> => {
      await backend.ready(callOf(c));
      return answerJson(c, 200, { status: "ok" });
    };
    bind(app, readyRoute(path), answer, config);
  }
  bind(app, versionRoute, (c) => answerJson(c, 200, version), config);
}

/** Paths that need no API key. The documents tell nothing that the source does not. */
export const PUBLIC_PATHS: ReadonlySet<string> = new Set([
  ...HEALTH_PATHS,
  ...READY_PATHS,
  "/version",
  "/openapi.json",
  "/docs",
]);

function healthRoute(path: (typeof HEALTH_PATHS)[number]) {
  return createRoute({
    method: "get",
    path,
    operationId: path === "/health" ? "getHealth" : "getHealthz",
    summary: "The process answers",
    tags: ["System"],
    security: [],
    responses: { 200: { description: "Alive", content: { "application/json": { schema: Health } } }, ...problems() },
  });
}

function readyRoute(path: (typeof READY_PATHS)[number]) {
  return createRoute({
    method: "get",
    path,
    operationId: path === "/ready" ? "getReady" : "getReadyz",
    summary: "Sandboxes can be made",
    tags: ["System"],
    security: [],
    responses: { 200: { description: "Ready", content: { "application/json": { schema: Health } } }, ...problems(503) },
  });
}

const versionRoute = createRoute({
  method: "get",
  path: "/version",
  operationId: "getVersion",
  summary: "Build facts",
  tags: ["System"],
  security: [],
  responses: {
    200: { description: "Version", content: { "application/json": { schema: VersionInfo } } },
    ...problems(),
  },
});
