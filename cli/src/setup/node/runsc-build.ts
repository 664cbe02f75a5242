import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { releaseOfModule, RUNSC_MODULE_VERSION } from "../runsc-release.ts";
import type { SetupContext } from "../step.ts";
import { OLDEST_GO, requireGo } from "./require-go.ts";
import { runStepTool } from "./step-tool.ts";

const MODULE = "gvisor.dev/gvisor";
const TYPICAL_PACKAGES = 500;

/** Builds runsc from the Go module proxy, verified by Go's checksum database, at a pinned version. */
export async function buildRunsc(file: string, context: SetupContext): Promise<void> {
  await requireGo("runsc can neither be downloaded nor built", context.signal);
  const work = join(context.home, "setup", "runsc");
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  await writeFile(join(work, "go.mod"), `module runscbuild\n\ngo ${OLDEST_GO.major}.${OLDEST_GO.minor}\n`);
  await writeFile(join(work, "tools.go"), `//go:build tools\n\npackage tools\n\nimport _ "${MODULE}/runsc"\n`);
  // Static: runsc starts itself again inside an empty root, where no library is.
  const go = ["env", "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "go"];
  const call = { signal: context.signal, cwd: work, failure: "runsc cannot be built from source", retries: 2 };
  context.progress({ detail: "fetching the sources" });
  await runStepTool([...go, "get", `${MODULE}/runsc@${RUNSC_MODULE_VERSION}`], call);
  const ldflags = `-s -w -X ${MODULE}/runsc/version.version=${releaseOfModule(RUNSC_MODULE_VERSION)}`;
  let built = 0;
  const onOutput = (text: string): void => {
    built += text.match(/\n/g)?.length ?? 0;
    context.progress({ fraction: Math.min(built / TYPICAL_PACKAGES, 0.99), detail: `compiled ${built} packages` });
  };
  const output = join(work, "runsc");
  await runStepTool([...go, "build", "-v", "-trimpath", "-ldflags", ldflags, "-o", output, `${MODULE}/runsc`], {
    ...call,
    onOutput,
  });
  await chmod(output, 0o755);
  await rename(output, file);
  await rm(work, { recursive: true, force: true });
}
