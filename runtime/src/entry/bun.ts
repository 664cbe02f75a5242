import process from "node:process";
import { composeGateway } from "./compose.ts";
import { failStart, runUntilSignal } from "./run-until-signal.ts";

/** Above every silence that the API allows on a connection. Bun's own bound is 255. */
const IDLE_TIMEOUT_SECONDS = 240;

const gateway = await composeGateway({
  runtime: `bun ${Bun.version}`,
  platform: `${process.platform}/${process.arch}`,
  env: process.env,
  boundsHeaders: true,
  writeLine: (line) => void process.stdout.write(`${line}\n`),
}).catch(failStart);

try {
  const server = Bun.serve({
    ...gateway.listen,
    fetch: (request) => gateway.app.fetch(request),
    idleTimeout: IDLE_TIMEOUT_SECONDS,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
  });
  gateway.log.info("gateway listening", { hostname: server.hostname, port: server.port });
  await runUntilSignal(gateway, { drain: () => server.stop(false), cut: () => void server.stop(true) });
} catch (error) {
  failStart(error);
}
process.exit(0);
