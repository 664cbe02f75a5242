import { chmodSync, rmSync, writeSync } from "node:fs";
import { proveAgent } from "#core/agent-proof.ts";
import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { createLog } from "#core/log.ts";
import { asProblemError, type ProblemError } from "#core/problem-error.ts";
import { createAgentApp } from "../app.ts";
import { createAdmission } from "../domain/admission.ts";
import { segmentBytesFor } from "../domain/journal.ts";
import { CommandHost } from "../node/command-host.ts";
import { createCommandStarter } from "../node/command-start.ts";
import { createContainerFinder } from "../node/containers.ts";
import { digestOf } from "../node/digest.ts";
import { createFileHost } from "../node/file-host.ts";
import { createJournalStore } from "../node/journal-store.ts";
import { errorName, listenToPump, loadNative } from "../node/native.ts";
import { untilAlone } from "../node/until-alone.ts";
import { createUploadLog } from "../node/upload-log.ts";
import { readEnvironment } from "../read-environment.ts";

const VERSION = "0.1.0";
/** What the first command would have to wait for is got ready after the first requests have been answered. */
const WARM_UP_MS = 20;

const environment = readEnvironment(process.env);
const clock = systemClock;
const admit = createAdmission({
  agentId: environment.ATOLL_AGENT_ID,
  publicKey: environment.ATOLL_GATEWAY_PUBLIC_KEY,
  now: clock.now,
});
const listen = environment.ATOLL_AGENT_LISTEN;
const socketPath = listen.startsWith("unix:") ? listen.slice(5) : undefined;
if (socketPath !== undefined) rmSync(socketPath, { force: true });
// First of all: who waits for the agent connects now and need not ask again. Nobody is answered before the rest is there.
Bun.serve({
  ...(socketPath === undefined ? tcpAddress(listen) : { unix: socketPath }),
  fetch: (request) => app(request),
  error: (error) => problemResponse(asProblemError(error)),
  idleTimeout: 0,
  // Files and standard input have no limit of their own; JSON bodies are bounded where they are read.
  maxRequestBodySize: Number.MAX_SAFE_INTEGER,
});
if (socketPath !== undefined) chmodSync(socketPath, 0o600);

const log = createLog(environment.ATOLL_LOG_LEVEL, (line) => writeSync(2, `${line}\n`), clock.now);
const native = loadNative(environment.ATOLL_AGENT_LIBRARY);
const store = createJournalStore(
  environment.ATOLL_JOURNAL_DIR,
  segmentBytesFor(environment.ATOLL_JOURNAL_BUDGET_BYTES),
);
const containers = createContainerFinder(clock.now, environment.ATOLL_PIDS_LIMIT);
const starter = createCommandStarter({ native, containers });
const commands = new CommandHost({
  native,
  prepare: starter.prepare,
  store,
  clock,
  log,
  budgetBytes: environment.ATOLL_JOURNAL_BUDGET_BYTES,
  maxCommands: environment.ATOLL_MAX_COMMANDS,
});
const uploads = createUploadLog(`${environment.ATOLL_JOURNAL_DIR}/uploads.log`, cryptoIds);
const agentKey = environment.ATOLL_AGENT_KEY;
const app = createAgentApp({
  commands,
  files: createFileHost({ native, containers, clock, uploads }),
  containers,
  admit,
  prove: agentKey === undefined ? undefined : (nonce) => proveAgent(agentKey, nonce),
  digestOf,
  log,
  version: VERSION,
  instance: cryptoIds.commandId(),
  maxStreams: environment.ATOLL_MAX_STREAMS,
});

// Runtimes ask all containers of a pod at once to end: the agent serves those that take their time.
process.once("SIGTERM", () => void untilAlone(containers, clock).then(() => process.exit(0)));

const pump = native.start(store.directory, store.segmentBytes);
if (pump < 0) throw new Error(`Cannot start the output pump: ${errorName(pump)}`);
await listenToPump(pump, (messages) => commands.onMessages(messages));
log.info("agent listens", { listen });
setTimeout(() => {
  starter.warmUp();
  uploads.sweep(native, containers);
}, WARM_UP_MS);

function tcpAddress(address: string): { hostname: string; port: number } {
  const at = address.lastIndexOf(":");
  return { hostname: address.slice(0, at), port: Number(address.slice(at + 1)) };
}

function problemResponse(problem: ProblemError): Response {
  return Response.json(problem.toProblem(), {
    status: problem.status,
    headers: { "content-type": "application/problem+json" },
  });
}
