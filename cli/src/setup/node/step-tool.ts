import { systemClock } from "#core/clock.ts";
import { runTool, ToolError, type ToolOptions } from "#runtime/backend/local/node/image-tool.ts";

export interface StepToolOptions extends ToolOptions {
  /** Start of the sentence when it fails, e.g. "The base image cannot be built". */
  readonly failure: string;
  /** Further attempts after a failure; default none. */
  readonly retries?: number;
  readonly beforeRetry?: () => Promise<void>;
}

const RETRY_DELAY_MS = 2_000;

/** Runs a program for a step; its failure is one sentence that ends with what the program said last. */
export async function runStepTool(command: readonly string[], options: StepToolOptions): Promise<string> {
  const [program = "", ...args] = command;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return new TextDecoder().decode(await runTool(program, args, options));
    } catch (error) {
      if (options.signal.aborted || !(error instanceof ToolError)) throw error;
      if (attempt >= (options.retries ?? 0)) throw stepError(options.failure, error);
    }
    await systemClock.sleep(RETRY_DELAY_MS, options.signal);
    await options.beforeRetry?.();
  }
}

/** One sentence of a tool's failure: its last error line, else how it ended. */
export function stepError(failure: string, error: ToolError): Error {
  const lines = error.stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const said = lines.findLast((line) => /^(E:|error|fatal|go: )/i.test(line)) ?? lines.at(-1) ?? error.message;
  const clean = said
    .replace(/[^\x20-\x7e]/g, "")
    .replace(/^(E:|error:)\s*/i, "")
    .replace(/\.$/, "")
    .slice(0, 300);
  return new Error(`${failure}: ${clean}.`, { cause: error });
}
