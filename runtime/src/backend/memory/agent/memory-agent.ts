import { AGENT_MAX_WAIT_MS, AGENT_PATHS, AgentCreateCommand, FILE_SIZE_HEADER, FRAME_MEDIA_TYPE } from "#api/agent.ts";
import { asProblemError, ProblemError } from "#core/problem-error.ts";
import { startCommand, type CommandRun, type CommandWorld, type SimulatedContainer } from "./command-run.ts";
import { frameStream } from "./frame-stream.ts";
import type { AgentFaults } from "../process/program.ts";
import { readBody } from "./read-body.ts";
import { runStream } from "./run-stream.ts";

/** The agent's protocol over simulated containers, and what can happen to a real agent. */
export interface MemoryAgent extends AgentFaults {
  fetch(request: Request): Promise<Response>;
  /** Kills all commands; the sandbox is going. */
  stop(): void;
}

export function createMemoryAgent(containers: readonly SimulatedContainer[], world: CommandWorld): MemoryAgent {
  const commands = new Map<string, CommandRun>();
  let instance = 1;
  let streams = new AbortController();
  const faults: AgentFaults = {
    restart() {
      instance += 1;
      for (const running of commands.values()) running.lose();
    },
    cutStreams() {
      streams.abort(new Error("The connection was cut"));
      streams = new AbortController();
    },
  };

  const containerFor = (url: URL): SimulatedContainer => {
    const name = url.searchParams.get("container");
    if (name === null && containers.length > 1) {
      throw new ProblemError("container-required", "Name a container: the sandbox has several.");
    }
    const found = name === null ? containers[0] : containers.find((container) => container.name === name);
    if (found === undefined) throw new ProblemError("unknown-container", `The sandbox has no container "${name}".`);
    return found;
  };
  const commandFor = (id: string): CommandRun => {
    const command = commands.get(id);
    if (command === undefined) throw new ProblemError("command-not-found", `There is no command "${id}".`);
    return command;
  };

  async function create(request: Request, url: URL): Promise<Response> {
    const body = AgentCreateCommand.parse(await request.json());
    const container = containerFor(url);
    const known = commands.get(body.id);
    if (known !== undefined && JSON.stringify(known.request) !== JSON.stringify(body)) {
      throw new ProblemError("idempotency-mismatch", `The command "${body.id}" was made from another request.`);
    }
    if (body.cwd !== undefined && !container.files.isDirectory(container.files.resolve(body.cwd, "/"))) {
      throw new ProblemError(
        "bad-working-directory",
        `The working directory "${body.cwd}" is not a directory of the container.`,
      );
    }
    const command = known ?? startCommand(body, container, { ...world, agent: faults });
    commands.set(body.id, command);
    if (!(request.headers.get("accept") ?? "").includes(FRAME_MEDIA_TYPE)) {
      return Response.json(command.view(), { status: 202 });
    }
    return follow(command, request.signal);
  }

  /** The whole run, which only a command of which all is kept has. */
  function follow(command: CommandRun, caller: AbortSignal): Response {
    const { id, state, stdout, stderr } = command.view();
    if (state === "unknown") {
      throw new ProblemError("outcome-unknown", `The agent restarted while the command "${id}" ran.`);
    }
    for (const { first } of [stdout, stderr]) if (first > 0) throw outputGone(first);
    const signal = AbortSignal.any([caller, streams.signal]);
    const body = runStream(command, { clock: world.clock, signal });
    return new Response(body, { headers: { "Content-Type": FRAME_MEDIA_TYPE } });
  }

  async function status(command: CommandRun, url: URL, signal: AbortSignal): Promise<Response> {
    const waitMs = Math.min(Number(url.searchParams.get("waitMs") ?? 0), AGENT_MAX_WAIT_MS);
    const turn = new AbortController();
    const until = AbortSignal.any([signal, turn.signal]);
    const deadline = world.clock.sleep(waitMs, until).then(() => "late" as const);
    deadline.catch(() => undefined);
    while (waitMs > 0 && command.view().state === "running") {
      if ((await Promise.race([command.change.wait(until), deadline])) === "late") break;
    }
    turn.abort();
    return Response.json(command.view());
  }

  function output(command: CommandRun, stream: "stdout" | "stderr", url: URL, caller: AbortSignal): Response {
    const offset = Number(url.searchParams.get("offset") ?? 0);
    const { first } = command[stream].state;
    if (offset < first) throw outputGone(first);
    const signal = AbortSignal.any([caller, streams.signal]);
    const body = frameStream(command[stream], { offset, clock: world.clock, signal });
    return new Response(body, { headers: { "Content-Type": FRAME_MEDIA_TYPE } });
  }

  async function command(request: Request, url: URL, [id = "", part, close]: string[]): Promise<Response> {
    const found = commandFor(id);
    const route = `${request.method} ${part ?? ""}${close === undefined ? "" : "/close"}`;
    switch (route) {
      case "GET ":
        return status(found, url, request.signal);
      case "DELETE ":
        found.kill("kill");
        return new Response(null, { status: 204 });
      case "GET stdout":
      case "GET stderr":
        return output(found, part as "stdout" | "stderr", url, request.signal);
      case "POST stdin":
        return writeStdin(found, request);
      case "POST stdin/close":
        requireOpenStdin(found);
        found.stdin.close();
        return new Response(null, { status: 204 });
      default:
        throw new ProblemError("not-found", "There is no such route.");
    }
  }

  async function files(request: Request, url: URL): Promise<Response> {
    const store = containerFor(url).files;
    const path = store.resolve(url.searchParams.get("path") ?? "", "/");
    if (request.method === "GET") {
      const bytes = store.read(path);
      return new Response(bytes, {
        headers: { "Content-Type": "application/octet-stream", [FILE_SIZE_HEADER]: `${bytes.length}` },
      });
    }
    const bytes = await readBody(request, (size) => store.reserve(size));
    store.write(path, bytes);
    return new Response(null, { status: 204 });
  }

  async function route(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === AGENT_PATHS.health) {
      const list = containers.map((container, i) => ({ name: container.name, pid: i + 2 }));
      return Response.json({ status: "ok", version: "memory", instance: `${instance}`, containers: list });
    }
    if (url.pathname === AGENT_PATHS.files) return files(request, url);
    if (url.pathname === AGENT_PATHS.commands) return create(request, url);
    return command(request, url, url.pathname.slice(AGENT_PATHS.commands.length + 1).split("/"));
  }

  return {
    fetch: (request) =>
      route(request).catch((error: unknown) => {
        const problem = asProblemError(error);
        return Response.json(problem.toProblem(), {
          status: problem.status,
          headers: { "Content-Type": "application/problem+json" },
        });
      }),
    ...faults,
    stop() {
      for (const running of commands.values()) running.kill("kill");
    },
  };
}

function outputGone(first: number): ProblemError {
  return new ProblemError("output-gone", `The output before byte ${first} is no longer kept.`, { firstByte: first });
}

function requireOpenStdin(command: CommandRun): void {
  if (command.view().state !== "running") throw new ProblemError("command-ended", "The command has ended.");
  if (command.stdin.closed) throw new ProblemError("stdin-closed", "The command's standard input is closed.");
}

async function writeStdin(command: CommandRun, request: Request): Promise<Response> {
  requireOpenStdin(command);
  for await (const bytes of request.body ?? []) {
    const written = await command.stdin.write(bytes.slice(), request.signal);
    if (!written) requireOpenStdin(command);
  }
  return new Response(null, { status: 204 });
}
