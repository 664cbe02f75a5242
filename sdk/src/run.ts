import { readJson, readPieces } from "./body.ts";
import { InvalidResponseError } from "./errors.ts";
import { FRAMES_MEDIA_TYPE } from "./frame-splitter.ts";
import { mediaTypeOf, outcomeUnknown } from "./output.ts";
import { createTextCollector, type TextCollector } from "./output-text.ts";
import { parseCommandId } from "./parse.ts";
import { createRunDecoder, type RunEvent } from "./run-frames.ts";
import type { Watchdog } from "./watchdog.ts";

/** Asks for the whole run in one answer; other servers of this API answer with the id. */
export const RUN_ACCEPT = `${FRAMES_MEDIA_TYPE}, application/json;q=0.5`;
const ID_HEADER = "x-command-id";

/** What is known of a run so far. */
export interface Run {
  /** Undefined until the server has said it. */
  id: string | undefined;
  /** Undefined until the run is complete. */
  exitCode: number | undefined;
  readonly stdout: TextCollector;
  readonly stderr: TextCollector;
}

export function createRun(maxOutputBytes: number): Run {
  return {
    id: undefined,
    exitCode: undefined,
    stdout: createTextCollector(maxOutputBytes),
    stderr: createTextCollector(maxOutputBytes),
  };
}

/**
 * Reads the answer to a start into `run`, as far as it goes: an answer that is cut, and one of a
 * server that only starts commands, leave a run that is not complete and can be followed by its id.
 */
export function readRun(run: Run, path: string, signal: AbortSignal) {
  return async (response: Response, watchdog: Watchdog): Promise<void> => {
    if (mediaTypeOf(response) !== FRAMES_MEDIA_TYPE) {
      run.id = await readJson(parseCommandId)(response, watchdog);
      return;
    }
    const id = response.headers.get(ID_HEADER);
    if (id === null || id === "") throw new InvalidResponseError(`POST ${path} was answered without a command's id.`);
    run.id = id;
    const decode = createRunDecoder();
    const pieces = readPieces(response.body, watchdog);
    try {
      for (;;) {
        const next = await pieces.next().catch((error: unknown) => {
          if (signal.aborted) throw error;
          return undefined;
        });
        if (next === undefined || next.done) return;
        for (const event of decode(next.value)) take(run, event, path);
      }
    } finally {
      await pieces.return();
    }
  };
}

function take(run: Run, event: RunEvent, path: string): void {
  switch (event.kind) {
    case "stdout":
    case "stderr":
      return run[event.kind].add(event.bytes);
    case "idle":
      return;
    case "lost":
      throw outcomeUnknown(path, event.reason);
    case "exited":
      checkLength(path, "standard output", run.stdout.sizeBytes, event.stdoutBytes);
      checkLength(path, "standard error", run.stderr.sizeBytes, event.stderrBytes);
      run.exitCode = event.exitCode;
  }
}

function checkLength(path: string, name: string, sizeBytes: number, totalBytes: number): void {
  if (sizeBytes === totalBytes) return;
  throw new InvalidResponseError(`POST ${path} gave ${sizeBytes} bytes of ${name}, which has ${totalBytes}.`);
}
