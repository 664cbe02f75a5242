import type { AgentCommand, AgentCreateCommand, AgentHealth } from "#api/agent.ts";

/** Which of a command's two outputs. */
export type StreamName = "stdout" | "stderr";

export interface FollowOptions {
  /** Aborts when the peer has gone. */
  readonly signal: AbortSignal;
  /** Called when the stream has ended or was given up. */
  readonly onClosed: () => void;
}

export interface OutputOptions extends FollowOptions {
  /** First byte wanted. */
  readonly offset: number;
}

/** Commands in the sandbox's containers. Throws ProblemError only. */
export interface Commands {
  /** Starts a command, or answers with the one that has this id and digest. `digest` is of the whole request. */
  start(
    request: AgentCreateCommand,
    options: { readonly container: string | undefined; readonly digest: string },
  ): AgentCommand;
  get(id: string): AgentCommand;
  /** Answers when the command has ended, or after `waitMs`. */
  wait(id: string, waitMs: number, signal: AbortSignal): Promise<AgentCommand>;
  /** Kills the command with all that can be told to belong to it; does nothing once it has ended. */
  kill(id: string): void;
  /** Frames from `offset`; `output-gone` when that byte is no longer kept. */
  output(id: string, stream: StreamName, options: OutputOptions): ReadableStream<Uint8Array<ArrayBuffer>>;
  /**
   * Frames of the command's whole run, from the first bytes of both streams to its end: as one
   * array when it ends soon. `output-gone`, or `outcome-unknown` when nobody saw it end.
   */
  follow(
    id: string,
    options: FollowOptions,
  ): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>>;
  /** Appends a body to standard input; bodies of several callers never mix. */
  write(id: string, body: ReadableStream<Uint8Array<ArrayBuffer>> | null): Promise<void>;
  closeInput(id: string): Promise<void>;
}

/** A file opened for reading. `sizeBytes` is undefined when the file system does not tell. */
export interface OpenFile {
  readonly sizeBytes: number | undefined;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Regular files in a container. Throws ProblemError only. */
export interface Files {
  read(path: string, options: { readonly container: string | undefined; readonly onClosed: () => void }): OpenFile;
  /** Nothing of the file can be seen before all of it is there. `sizeBytes` is what the sender announced. */
  write(
    path: string,
    options: {
      readonly container: string | undefined;
      readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
      readonly sizeBytes: number | undefined;
    },
  ): Promise<void>;
}

/** The sandbox's own containers that run now. */
export interface Containers {
  list(): AgentHealth["containers"];
}
