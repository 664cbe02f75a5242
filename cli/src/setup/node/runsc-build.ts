import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { releaseOfModule, RUNSC_MODULE_VERSION } from "../runsc-release.ts";
import type { SetupContext } from "../step.ts";
import { runStepTool } from "./step-tool.ts";
import { runTool } from "#runtime/backend/local/node/image-tool.ts";

const MODULE = "gvisor.dev/gvisor";
// The Go that the pinned version asks for in its own go.mod.
const OLDEST_GO = { major: 1, minor: 26 };
const TYPICAL_PACKAGES = 500;

/** Builds runsc from the Go module proxy, verified by Go's checksum database, at a pinned version. */
export async function buildRunsc(file: string, context: SetupContext): Promise<void> {
  await requireGo(context.signal);
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

async function requireGo(signal: AbortSignal): Promise<void> {
  const wanted = `Go ${OLDEST_GO.major}.${OLDEST_GO.minor} or newer`;
  const output = await runTool("go", ["env", "GOVERSION"], { signal }).catch(() => {
    signal.throwIfAborted();
    throw new Error(`runsc can neither be downloaded nor built: ${wanted} is needed on PATH, or a recent runsc.`);
  });
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(new TextDecoder().decode(output)) ?? [];
  const isNewEnough =
    Number(major) > OLDEST_GO.major || (Number(major) === OLDEST_GO.major && Number(minor) >= OLDEST_GO.minor);
  // An older Go from 1.21 on fetches the one it needs by itself.
  if (!isNewEnough && !(Number(major) === 1 && Number(minor) >= 21)) {
    throw new Error(
      `runsc can neither be downloaded nor built: ${wanted} is needed on PATH, there is ${new TextDecoder().decode(output).trim()}.`,
    );
  }
}
