import { once } from "node:events";
import type { Server } from "node:http";
import process from "node:process";
import { createAdaptorServer } from "@hono/node-server";
import { composeGateway } from "./compose.ts";
import { failStart, runUntilSignal } from "./run-until-signal.ts";

/** Header time-out and idle time-out as the released gateway has them; a request may take as long as it moves. */
const SERVER_OPTIONS = { headersTimeout: 10_000, requestTimeout: 0, keepAliveTimeout: 120_000 };

const gateway = await composeGateway({
  runtime: `node ${process.version}`,
  platform: `${process.platform}/${process.arch}`,
  env: process.env,
  boundsHeaders: true,
  writeLine: (line) => void process.stdout.write(`${line}\n`),
}).catch(failStart);

try {
  const server = createAdaptorServer({ fetch: gateway.app.fetch, serverOptions: SERVER_OPTIONS }) as Server;
  server.listen(gateway.listen.port, gateway.listen.hostname);
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  gateway.log.info("gateway listening", { hostname: gateway.listen.hostname, port });
  await runUntilSignal(gateway, {
    drain: () => new Promise((resolve) => server.close(() => resolve())),
    cut: () => server.closeAllConnections(),
  });
} catch (error) {
  failStart(error);
}
process.exit(0);
