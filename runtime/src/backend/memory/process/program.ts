import type { Clock } from "#core/clock.ts";
import type { FileStore } from "../agent/file-store.ts";
import type { Pipe } from "./pipe.ts";

/** What a simulated process can touch. */
export interface ProcessContext {
  readonly args: readonly string[];
  readonly env: Map<string, string>;
  readonly cwd: string;
  readonly stdin: Pipe;
  readonly out: Output;
  readonly err: Output;
  readonly files: FileStore;
  readonly clock: Clock;
  /** Aborted when the process is killed; every wait of a program ends then. */
  readonly signal: AbortSignal;
  readonly programs: Programs;
  readonly agent: AgentFaults;
}

/** What a user's program can do to the agent, as one with a real agent can by killing it. */
export interface AgentFaults {
  /** Kills the agent, which starts again: running commands become unknown. */
  restart(): void;
  /** Breaks the connections of all output streams. */
  cutStreams(): void;
}

/** Resolves when there is room for more. */
export type Output = (bytes: Uint8Array<ArrayBuffer>) => Promise<void>;
/** Runs to its exit code; -1 when a signal ended it. */
export type Program = (context: ProcessContext) => Promise<number>;
export type Programs = ReadonlyMap<string, Program>;

/** Runs `args[0]`; 127 and a line on standard error when there is no such program, as a shell does. */
export async function runProgram(context: ProcessContext): Promise<number> {
  const name = context.args[0] ?? "";
  const program = context.programs.get(name.replace(/^\/(usr\/)?bin\//, ""));
  if (program !== undefined) return program(context);
  await context.err(new TextEncoder().encode(`sh: 1: ${name}: not found\n`));
  return 127;
}
