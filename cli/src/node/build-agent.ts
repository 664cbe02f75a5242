import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { Fault, sentenceOf } from "../fault.ts";

const BUILD_TIMEOUT_MS = 300_000;

/** Compiles the agent by its own program, so that the two programs know nothing of each other's files. */
export async function buildAgent(repo: string, outDir: string): Promise<void> {
  try {
    await promisify(execFile)(process.execPath, [join(repo, "sidecar/build.ts"), outDir], {
      cwd: repo,
      timeout: BUILD_TIMEOUT_MS,
    });
  } catch (error) {
    const stderr = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
    const said =
      stderr
        .trim()
        .split("\n")
        .find((line) => /error/i.test(line)) ?? sentenceOf(error);
    throw new Fault(`the agent does not compile: ${said}`, { cause: error });
  }
}
