import type { AgentCommand, AgentCreateCommand } from "#api/agent.ts";
import { createChange, type Change } from "#core/change.ts";
import type { Clock } from "#core/clock.ts";
import { createPipe, type Pipe } from "../process/pipe.ts";
import { runProgram, type AgentFaults, type Programs } from "../process/program.ts";
import type { FileStore } from "./file-store.ts";
import { createJournal, type Journal } from "./journal.ts";

export interface SimulatedContainer {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  readonly files: FileStore;
}

export interface CommandWorld {
  readonly clock: Clock;
  readonly programs: Programs;
  /** Bytes kept of each output stream. */
  readonly journalBytes: number;
}

/** A command and what is known about it. */
export interface CommandRun {
  readonly request: AgentCreateCommand;
  readonly stdin: Pipe;
  readonly stdout: Journal;
  readonly stderr: Journal;
  readonly change: Change;
  view(): AgentCommand;
  kill(by: "timeout" | "kill"): void;
  /** The agent restarted: nobody sees how the command ends. */
  lose(): void;
}

type Ending = Pick<AgentCommand, "state" | "exitCode" | "signal" | "endedBy">;

const RUNNING: Ending = { state: "running", exitCode: null, signal: null, endedBy: null };
const SIGKILL = 9;

export function startCommand(
  request: AgentCreateCommand,
  container: SimulatedContainer,
  world: CommandWorld & { readonly agent: AgentFaults },
): CommandRun {
  const change = createChange();
  const life = new AbortController();
  const stdin = createPipe();
  const stdout = createJournal(world.journalBytes);
  const stderr = createJournal(world.journalBytes);
  let ending = RUNNING;

  const end = (how: Ending): void => {
    if (ending.state !== "running") return;
    ending = how;
    stdin.abandon();
    stdout.end();
    stderr.end();
    life.abort();
    change.notify();
  };
  const kill = (endedBy: "timeout" | "kill"): void => end({ state: "exited", exitCode: -1, signal: SIGKILL, endedBy });

  const run = runProgram({
    args: request.args,
    env: new Map(Object.entries({ PATH: "/usr/bin:/bin", ...container.env, ...request.env })),
    cwd: request.cwd === undefined ? "/" : container.files.resolve(request.cwd, "/"),
    stdin,
    out: (bytes) => stdout.write(bytes, life.signal),
    err: (bytes) => stderr.write(bytes, life.signal),
    files: container.files,
    clock: world.clock,
    signal: life.signal,
    programs: world.programs,
    agent: world.agent,
  });
  run.then(
    (exitCode) => end({ state: "exited", exitCode, signal: exitCode === -1 ? SIGKILL : null, endedBy: null }),
    () => end({ state: "exited", exitCode: 1, signal: null, endedBy: null }),
  );
  if (request.timeoutMs !== undefined) {
    world.clock.sleep(request.timeoutMs, life.signal).then(
      () => kill("timeout"),
      () => undefined,
    );
  }
  return {
    request,
    stdin,
    stdout,
    stderr,
    change,
    view: () => ({ id: request.id, container: container.name, ...ending, stdout: stdout.state, stderr: stderr.state }),
    kill,
    lose() {
      if (ending.state !== "running") return;
      stdout.lose("The agent restarted.");
      stderr.lose("The agent restarted.");
      end({ state: "unknown", exitCode: null, signal: null, endedBy: null });
    },
  };
}
