import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { runStepTool } from "#cli/setup/node/step-tool.ts";
import type { SetupStep } from "#cli/setup/step.ts";
import type { Layout } from "../layout.ts";
import { isThere } from "./program-step.ts";

const SOURCE = join(import.meta.dirname, "../../native/pause.c");

/** Compiles the first process of pods and of the box. */
export function pauseStep(layout: Layout): SetupStep {
  return {
    name: "pause",
    title: "First process of pods",
    async check() {
      return (await isThere(await pauseFolder(layout)))
        ? { needed: false, reason: "built" }
        : { needed: true, reason: "its source is new" };
    },
    async run({ signal }) {
      const folder = await pauseFolder(layout);
      const part = `${folder}.part`;
      await mkdir(part, { recursive: true });
      const command = ["cc", "-O2", "-Wall", "-Wextra", "-static", "-o", join(part, "pause"), SOURCE];
      await runStepTool(command, { signal, failure: "The first process of pods cannot be compiled" });
      await rm(folder, { recursive: true, force: true });
      await rename(part, folder);
    },
  };
}

/** Where it lies once it is compiled. */
export async function pauseFolder({ programs }: Layout): Promise<string> {
  const digest = createHash("sha256")
    .update(await readFile(SOURCE))
    .digest("hex");
  return join(programs, `pause-${digest.slice(0, 12)}`);
}
