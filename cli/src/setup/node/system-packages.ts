import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import type { SetupContext, SetupStep } from "../step.ts";
import { parseAptStatus, SYSTEM_REQUIREMENTS, type SystemRequirement } from "../system-packages.ts";
import { runStepTool } from "./step-tool.ts";

/** Installs what the machine lacks, by APT. */
export function systemPackagesStep(options: {
  readonly searchPath: string;
  readonly requirements?: readonly SystemRequirement[];
}): SetupStep {
  const requirements = options.requirements ?? SYSTEM_REQUIREMENTS;
  return {
    name: "system-packages",
    title: "System packages",
    async check() {
      const missing = await missingPackages(requirements, options.searchPath);
      return missing.length === 0 ? { needed: false } : { needed: true, reason: `missing: ${missing.join(", ")}` };
    },
    async run(context) {
      const missing = await missingPackages(requirements, options.searchPath);
      if (missing.length === 0) return;
      if (!(await isThere("apt-get", options.searchPath))) {
        throw new Error(
          `This machine lacks ${missing.join(", ")} and has no apt-get; install them with its own package manager.`,
        );
      }
      await install(missing, context);
      const still = await missingPackages(requirements, options.searchPath);
      if (still.length > 0)
        throw new Error(`APT installed ${still.join(", ")}, but what they bring is not on the search path.`);
    },
  };
}

async function install(packages: readonly string[], context: SetupContext): Promise<void> {
  const { signal, progress, log } = context;
  const environment = ["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"];
  const patience = [
    "-o",
    "Acquire::Retries=3",
    "-o",
    "DPkg::Lock::Timeout=300",
    "-o",
    "APT::Status-Fd=1",
    "-o",
    "Dpkg::Use-Pty=0",
  ];
  const onOutput = (text: string): void => {
    const status = parseAptStatus(text);
    if (status !== undefined) progress(status);
  };
  const failure = `The system packages ${packages.join(", ")} cannot be installed`;
  const call = { signal, onOutput, gentle: true, failure };
  // Completes an installation that was interrupted; without one it does nothing.
  await runStepTool([...environment, "dpkg", "--configure", "-a"], call);
  progress({ detail: "package lists" });
  // A vendor's archive that does not answer shall not stop packages that come from elsewhere.
  await runStepTool([...environment, "apt-get", ...patience, "update"], { ...call, retries: 1 }).catch(
    (error: unknown) => {
      signal.throwIfAborted();
      log.warn("some package lists are not fresh", { why: (error as Error).message });
    },
  );
  await runStepTool([...environment, "apt-get", ...patience, "install", "-y", "--no-install-recommends", ...packages], {
    ...call,
    retries: 2,
  });
}

async function missingPackages(requirements: readonly SystemRequirement[], searchPath: string): Promise<string[]> {
  const missing = new Set<string>();
  for (const requirement of requirements) {
    if (!(await isThere(requirement.needs, searchPath))) missing.add(requirement.package);
  }
  return [...missing];
}

async function isThere(needs: string, searchPath: string): Promise<boolean> {
  const isFile = needs.startsWith("/");
  const places = isFile ? [needs] : searchPath.split(delimiter).map((dir) => join(dir, needs));
  for (const place of places) {
    const found = await access(place, isFile ? constants.R_OK : constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
