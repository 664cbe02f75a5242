import { access, constants, copyFile, mkdir, rename, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { judgeRunsc, type RunscVerdict } from "../runsc-release.ts";
import type { SetupContext, SetupStep, StepCheck } from "../step.ts";
import { buildRunsc } from "./runsc-build.ts";
import { downloadRunsc } from "./runsc-download.ts";
import { runTool } from "#runtime/backend/local/node/image-tool.ts";

export interface RunscStepOptions {
  /** Folder with `<architecture>/runsc` and `<architecture>/runsc.sha512`. */
  readonly releasesUrl: string;
  /** Search path for an installed runsc. */
  readonly searchPath: string;
}

export function runscPath(home: string): string {
  return join(home, "bin", "runsc");
}

/** Puts a new enough gVisor at `<home>/bin/runsc`: one from the search path, else the official release, else built from source. */
export function runscStep(options: RunscStepOptions): SetupStep {
  return {
    name: "runsc",
    title: "gVisor (runsc)",
    async check({ home, signal }): Promise<StepCheck> {
      const verdict = await judge(runscPath(home), signal);
      if (verdict?.kind === "good") return { needed: false, reason: verdict.release };
      return {
        needed: true,
        reason: verdict === undefined ? "runsc is not installed" : `runsc is refused: ${verdict.why}`,
      };
    },
    async run(context) {
      const bin = join(context.home, "bin");
      const part = join(bin, "runsc.part");
      await mkdir(bin, { recursive: true });
      await rm(part, { recursive: true, force: true });
      await provide(part, options, context);
      const verdict = await judge(part, context.signal);
      if (verdict?.kind !== "good")
        throw new Error(`The new runsc cannot be used: ${verdict?.why ?? "it is missing"}.`);
      await rename(part, runscPath(context.home));
    },
  };
}

async function provide(file: string, options: RunscStepOptions, context: SetupContext): Promise<void> {
  for (const dir of options.searchPath.split(delimiter).filter((entry) => entry.startsWith("/"))) {
    const found = join(dir, "runsc");
    const verdict = await judge(found, context.signal);
    if (verdict?.kind === "good") {
      context.progress({ detail: `copying ${found}` });
      return copyFile(found, file);
    }
    if (verdict !== undefined)
      context.log.info("runsc on the search path is refused", { path: found, why: verdict.why });
  }
  try {
    await downloadRunsc(options.releasesUrl, file, context);
  } catch (error) {
    context.signal.throwIfAborted();
    context.log.info("gVisor's release cannot be downloaded, building it", { why: (error as Error).message });
    await buildRunsc(file, context);
  }
}

/** Undefined when nothing executable is there. */
async function judge(path: string, signal: AbortSignal): Promise<RunscVerdict | undefined> {
  try {
    await access(path, constants.X_OK);
  } catch {
    return undefined;
  }
  try {
    return judgeRunsc(new TextDecoder().decode(await runTool(path, ["--version"], { signal })));
  } catch (error) {
    signal.throwIfAborted();
    return { kind: "bad", why: `it does not run: ${(error as Error).message}` };
  }
}
