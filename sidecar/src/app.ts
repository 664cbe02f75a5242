import type { AgentCreateCommand, AgentHealth } from "#api/agent.ts";
import {
  AGENT_MAX_WAIT_MS,
  AGENT_NONCE_HEADER,
  AGENT_PATHS,
  AGENT_PROOF_HEADER,
  FILE_SIZE_HEADER,
  FRAME_MEDIA_TYPE,
} from "#api/agent-protocol.ts";
import { isNonce } from "#core/agent-proof.ts";
import type { Log } from "#core/log.ts";
import { asProblemError, ProblemError } from "#core/problem-error.ts";
import { readCount, readJson } from "./domain/body.ts";
import { createGate } from "./domain/gate.ts";
import { isCommandId, isContainerName } from "./domain/names.ts";
import { readCommand } from "./domain/read-command.ts";
import type { Commands, Containers, Files, StreamName } from "./ports.ts";

const JSON_BODY_BYTES = 1 << 20;

export interface AgentAppDeps {
  readonly commands: Commands;
  readonly files: Files;
  readonly containers: Containers;
  /** Throws `unauthorized`. */
  readonly admit: (request: Request) => Promise<void>;
  /** Proof for the nonce of a request; absent where an agent need not prove itself. */
  readonly prove?: ((nonce: string) => Promise<string>) | undefined;
  /** SHA-256 in hex. */
  readonly digestOf: (text: string) => string;
  readonly log: Log;
  readonly version: string;
  /** Differs from that of every earlier start. */
  readonly instance: string;
  readonly maxStreams: number;
}

interface Route {
  readonly method: string;
  readonly pattern: RegExp;
  handle(call: {
    readonly request: Request;
    readonly query: URLSearchParams;
    readonly params: readonly string[];
  }): Response | Promise<Response>;
}

/** The agent as a function from request to response: routes over ports, errors as problem documents. */
export function createAgentApp(deps: AgentAppDeps): (request: Request) => Promise<Response> {
  const routes = [...commandRoutes(deps), ...fileRoutes(deps), healthRoute(deps)];
  return async (request) => {
    try {
      await deps.admit(request);
    } catch (error) {
      return problemResponse(error, request, deps.log);
    }
    // Only for who has a good token: nobody in the sandbox gets a proof to pass on. Made while the request is worked on.
    const proof = proofFor(request, deps.prove);
    const response = await dispatch(routes, request).catch((error: unknown) =>
      problemResponse(error, request, deps.log),
    );
    if (proof !== undefined) response.headers.set(AGENT_PROOF_HEADER, await proof);
    return response;
  };
}

function proofFor(request: Request, prove: AgentAppDeps["prove"]): Promise<string> | undefined {
  const nonce = request.headers.get(AGENT_NONCE_HEADER);
  return nonce !== null && isNonce(nonce) ? prove?.(nonce) : undefined;
}

function problemResponse(error: unknown, request: Request, log: Log): Response {
  const problem = asProblemError(error);
  const { pathname } = new URL(request.url);
  if (problem.status >= 500) log.error("request failed", { method: request.method, path: pathname, error });
  return Response.json(problem.toProblem(), {
    status: problem.status,
    headers: { "content-type": "application/problem+json" },
  });
}

async function dispatch(routes: readonly Route[], request: Request): Promise<Response> {
  const url = new URL(request.url);
  let known = false;
  for (const route of routes) {
    const match = route.pattern.exec(url.pathname);
    if (match === null) continue;
    known = true;
    if (route.method === request.method)
      return route.handle({ request, query: url.searchParams, params: match.slice(1) });
  }
  if (known) throw new ProblemError("method-not-allowed", `The agent has no ${request.method} for this path.`);
  throw new ProblemError("not-found", "The agent has no such path.");
}

function healthRoute({ containers, version, instance }: AgentAppDeps): Route {
  return {
    method: "GET",
    pattern: new RegExp(`^${AGENT_PATHS.health}$`),
    handle: () =>
      Response.json({ status: "ok", version, instance, containers: containers.list() } satisfies AgentHealth),
  };
}

function commandRoutes({ commands, digestOf, maxStreams }: AgentAppDeps): Route[] {
  const takePlace = createGate(maxStreams);
  const one = `^${AGENT_PATHS.commands}/([^/]+)`;
  return [
    {
      method: "POST",
      pattern: new RegExp(`^${AGENT_PATHS.commands}$`),
      async handle({ request, query }) {
        const container = containerOf(query);
        const { text, value } = await readJson(request, JSON_BODY_BYTES);
        const command = parseCommand(value);
        const digest = digestOf(`${container ?? ""}\n${text}`);
        if (!wantsFrames(request))
          return Response.json(commands.start(command, { container, digest }), { status: 202 });
        // The place comes first: a command that cannot be followed is not started.
        const free = takePlace();
        try {
          const { id } = commands.start(command, { container, digest });
          const body = await commands.follow(id, { signal: request.signal, onClosed: free });
          return new Response(body, { headers: { "content-type": FRAME_MEDIA_TYPE } });
        } catch (error) {
          free();
          throw error;
        }
      },
    },
    {
      method: "GET",
      pattern: new RegExp(`${one}$`),
      async handle({ request, query, params }) {
        const waitMs = readCount(query, "waitMs", { fallback: 0, most: AGENT_MAX_WAIT_MS, slug: "bad-request" });
        const id = commandId(params);
        return Response.json(waitMs === 0 ? commands.get(id) : await commands.wait(id, waitMs, request.signal));
      },
    },
    {
      method: "DELETE",
      pattern: new RegExp(`${one}$`),
      handle({ params }) {
        commands.kill(commandId(params));
        return noContent();
      },
    },
    {
      method: "GET",
      pattern: new RegExp(`${one}/(stdout|stderr)$`),
      handle({ request, query, params }) {
        const offset = readCount(query, "offset", { fallback: 0, most: Number.MAX_SAFE_INTEGER, slug: "bad-offset" });
        const free = takePlace();
        try {
          const body = commands.output(commandId(params), params[1] as StreamName, {
            offset,
            signal: request.signal,
            onClosed: free,
          });
          return new Response(body, { headers: { "content-type": FRAME_MEDIA_TYPE } });
        } catch (error) {
          free();
          throw error;
        }
      },
    },
    {
      method: "POST",
      pattern: new RegExp(`${one}/stdin$`),
      async handle({ request, params }) {
        await commands.write(commandId(params), request.body);
        return noContent();
      },
    },
    {
      method: "POST",
      pattern: new RegExp(`${one}/stdin/close$`),
      async handle({ params }) {
        await commands.closeInput(commandId(params));
        return noContent();
      },
    },
  ];
}

function fileRoutes({ files, maxStreams }: AgentAppDeps): Route[] {
  const takePlace = createGate(maxStreams);
  const pattern = new RegExp(`^${AGENT_PATHS.files}$`);
  return [
    {
      method: "GET",
      pattern,
      handle({ query }) {
        const free = takePlace();
        try {
          const { body, sizeBytes } = files.read(query.get("path") ?? "", {
            container: containerOf(query),
            onClosed: free,
          });
          const headers: Record<string, string> = { "content-type": "application/octet-stream" };
          if (sizeBytes !== undefined) headers[FILE_SIZE_HEADER] = String(sizeBytes);
          return new Response(body, { headers });
        } catch (error) {
          free();
          throw error;
        }
      },
    },
    {
      method: "PUT",
      pattern,
      async handle({ request, query }) {
        const free = takePlace();
        try {
          const announced = request.headers.get("content-length");
          const sizeBytes = announced === null ? undefined : Number(announced);
          await files.write(query.get("path") ?? "", { container: containerOf(query), body: request.body, sizeBytes });
          return noContent();
        } finally {
          free();
        }
      },
    },
  ];
}

function parseCommand(value: unknown): AgentCreateCommand {
  const reading = readCommand(value);
  if (reading.kind === "faults") {
    throw new ProblemError("validation-failed", "The command does not have the right shape.", {
      errors: reading.faults,
    });
  }
  const { args, env = {}, cwd = "" } = reading.command;
  if ([...args, ...Object.keys(env), ...Object.values(env), cwd].some((text) => text.includes("\0"))) {
    throw new ProblemError(
      "bad-request",
      "The command has a zero character in its arguments, environment or working directory.",
    );
  }
  if (Object.keys(env).some((key) => key === "" || key.includes("="))) {
    throw new ProblemError(
      "bad-request",
      "The command has an environment variable whose name is empty or has an equals sign.",
    );
  }
  return reading.command;
}

function containerOf(query: URLSearchParams): string | undefined {
  const name = query.get("container");
  if (name === null) return undefined;
  if (!isContainerName(name)) throw new ProblemError("unknown-container", "The container's name is not a DNS label.");
  return name;
}

function commandId(params: readonly string[]): string {
  const id = params[0];
  if (!isCommandId(id)) throw new ProblemError("command-not-found", "The command's id is not a UUID.");
  return id;
}

function wantsFrames(request: Request): boolean {
  return (request.headers.get("accept") ?? "").includes(FRAME_MEDIA_TYPE);
}

function noContent(): Response {
  return new Response(null, { status: 204 });
}
