import process from "node:process";
import { composeGateway } from "./compose.ts";
import { failStart, runUntilSignal } from "./run-until-signal.ts";

/** What this file needs of the runtime. */
declare const Deno: {
  readonly version: { readonly deno: string };
  serve(
    options: {
      hostname: string;
      port: number;
      signal: AbortSignal;
      onListen(address: { hostname: string; port: number }): void;
    },
    handler: (request: Request) => Response | Promise<Response>,
  ): { readonly finished: Promise<void>; shutdown(): Promise<void> };
};

const gateway = await composeGateway({
  runtime: `deno ${Deno.version.deno}`,
  platform: `${process.platform}/${process.arch}`,
  env: process.env,
  boundsHeaders: false,
  writeLine: (line) => void process.stdout.write(`${line}\n`),
}).catch(failStart);

try {
  const stop = new AbortController();
  const onListen = (address: { hostname: string; port: number }): void =>
    gateway.log.info("gateway listening", { ...address });
  const server = Deno.serve({ ...gateway.listen, signal: stop.signal, onListen }, (request) =>
    gateway.app.fetch(request),
  );
  await runUntilSignal(gateway, { drain: () => server.shutdown(), cut: () => stop.abort() });
} catch (error) {
  failStart(error);
}
process.exit(0);
