import { OpenAPIHono } from "@hono/zod-openapi";
import type { Gateway, GatewayDeps, GatewayEnv, RouteDeps } from "./gateway.ts";
import { createFrontDoor } from "./middleware/front-door.ts";
import { createNotFound, onError } from "./middleware/problem.ts";
import { createStreamLimits } from "./middleware/stream-limits.ts";
import { createAllowedMethods } from "./routes/allowed-methods.ts";
import { createPatternOf } from "./routes/pattern-of.ts";
import { documentRoutes } from "./routes/documents.ts";
import { commandInputRoutes } from "./routes/isola/command-input.ts";
import { commandOutputRoutes } from "./routes/isola/command-output.ts";
import { commandRoutes } from "./routes/isola/commands.ts";
import { createDiscards } from "./routes/isola/discards.ts";
import { fileRoutes } from "./routes/isola/files.ts";
import { sandboxRoutes } from "./routes/isola/sandboxes.ts";
import { snapshotRoutes } from "./routes/isola/snapshots.ts";
import { PUBLIC_PATHS, systemRoutes } from "./routes/isola/system.ts";

/** The gateway over one backend. Reads no environment and keeps no state outside of what it makes here. */
export function createApp(deps: GatewayDeps): Gateway {
  const app: Gateway = new OpenAPIHono<GatewayEnv>();
  app.onError(onError);
  const routeDeps: RouteDeps = { ...deps, streams: createStreamLimits(deps.config), discards: createDiscards(deps) };
  systemRoutes(app, routeDeps);
  sandboxRoutes(app, routeDeps);
  commandRoutes(app, routeDeps);
  commandOutputRoutes(app, routeDeps);
  commandInputRoutes(app, routeDeps);
  fileRoutes(app, routeDeps);
  snapshotRoutes(app, routeDeps);
  documentRoutes(app, deps.version.gitVersion);
  app.notFound(createNotFound(createAllowedMethods(app)));
  app.fetch = createFrontDoor(deps, {
    publicPaths: PUBLIC_PATHS,
    route: app.fetch,
    patternOf: createPatternOf(app),
  });
  return app;
}
