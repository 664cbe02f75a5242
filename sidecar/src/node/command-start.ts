import { closeSync, readFileSync } from "node:fs";
import type { AgentCreateCommand } from "#api/agent.ts";
import { ProblemError } from "#core/problem-error.ts";
import { encodeCStrings } from "../domain/c-strings.ts";
import { programCandidates, shellFallback } from "../domain/candidates.ts";
import { overlayEnvironment, readVariable } from "../domain/environment.ts";
import { cleanPath } from "../domain/path.ts";
import { differingLimits, parseLimits, parseStatus, type ResourceLimit } from "../domain/proc.ts";
import { CONTAINER_MARK } from "../container-mark.ts";
import { PATH_ONLY, type ContainerFinder, type Target } from "./containers.ts";
import { errorName, type Native, type SpawnRequest, type SpawnResult } from "./native.ts";

const DIRECTORY = 0o200000;

export interface CommandStarterDeps {
  readonly native: Native;
  readonly containers: ContainerFinder;
}

/** Where and how a command will run; `workingDirectoryFd` is open until `close`. */
export interface PreparedCommand {
  readonly target: Target;
  spawn(place: { readonly slot: number; readonly limitBytes: number }): Extract<SpawnResult, { kind: "started" }>;
  close(): void;
}

/** Finds what a command needs in its container. Throws before anything has been started. */
export function createCommandStarter({ native, containers }: CommandStarterDeps) {
  let known: { readonly limits: readonly ResourceLimit[]; readonly bounding: bigint } | undefined;

  /** The agent's own limits and capabilities. Not read at once: at start-up it would delay the first answer. */
  function own(): NonNullable<typeof known> {
    known ??= {
      limits: parseLimits(readFileSync("/proc/self/limits", "utf8")),
      bounding: parseStatus(readFileSync("/proc/self/status", "latin1"))?.bounding ?? 0n,
    };
    return known;
  }

  function openWorkingDirectory(
    target: Target,
    cwd: string | undefined,
  ): { readonly fd: number; readonly path: string } {
    if (cwd === undefined || cwd === "") {
      const inherited = containers.workingDirectory(target);
      // The root is open already, and is what it is called.
      const fd = inherited === "/" ? target.rootFd : containers.openWorkingDirectory(target);
      return { fd, path: inherited };
    }
    const path = cleanWorkingDirectory(cwd, cwd.startsWith("/") ? "/" : containers.workingDirectory(target));
    if (path === "/") return { fd: target.rootFd, path };
    const fd = native.openIn(target.rootFd, path, PATH_ONLY | DIRECTORY);
    if (fd < 0)
      throw new ProblemError(
        "bad-working-directory",
        `The working directory "${cwd}" ${directoryFault(errorName(fd))}.`,
      );
    return { fd, path };
  }

  function prepare(request: AgentCreateCommand, container: string | undefined): PreparedCommand {
    const target = containers.find(container);
    const directory = openWorkingDirectory(target, request.cwd);
    const environment = overlayEnvironment(containers.environment(target), { PWD: directory.path, ...request.env }, [
      CONTAINER_MARK,
    ]);
    const common = {
      rootFd: target.rootFd,
      workingDirectoryFd: directory.fd,
      groupFd: target.groupFd,
      argv: encodeCStrings(request.args),
      environment,
      candidates: encodeCStrings(programCandidates(request.args[0] ?? "", readVariable(environment, "PATH"))),
      shellArgv: encodeCStrings(shellFallback(request.args)),
      bounding: target.status.bounding & own().bounding,
      inheritable: target.status.inheritable,
      noNewPrivileges: target.status.noNewPrivileges,
      limits: differingLimits(target.limits, own().limits),
      name: request.id,
    } satisfies Omit<SpawnRequest, "slot" | "limitBytes">;
    return {
      target,
      spawn(place) {
        const result = native.spawn({ ...common, ...place });
        if (result.kind === "failed") throw startProblem(request.args[0] ?? "", result);
        return result;
      },
      close: () => directory.fd !== target.rootFd && closeSync(directory.fd),
    };
  }

  return { prepare, warmUp: () => void own() };
}

function cleanWorkingDirectory(cwd: string, inherited: string): string {
  try {
    return cleanPath(cwd, inherited);
  } catch (cause) {
    throw new ProblemError("bad-working-directory", "The working directory is not a path that can exist.", { cause });
  }
}

function directoryFault(error: string): string {
  if (error === "ENOENT") return "does not exist";
  if (error === "ENOTDIR") return "is not a directory";
  return `cannot be entered (${error})`;
}

function startProblem(program: string, { error, step }: Extract<SpawnResult, { kind: "failed" }>): ProblemError {
  return new ProblemError("start-failed", `Cannot start "${program.slice(0, 200)}": ${startFault(error, step)}.`);
}

function startFault(error: string, step: number): string {
  if (error === "E2BIG") return "its arguments and environment are too long";
  if (step === 4)
    return error === "ENOENT"
      ? "it was not found, and the container has no /bin/sh"
      : `the container's /bin/sh cannot be executed (${error})`;
  if (error === "EAGAIN") return "the sandbox has no process left (EAGAIN)";
  if (error === "ENOMEM") return "the sandbox has no memory left (ENOMEM)";
  if (error === "EMFILE" || error === "ENFILE") return `the sandbox has no file descriptor left (${error})`;
  return (
    [
      "its pipes or process cannot be made",
      "its root or working directory cannot be entered",
      "its descriptors cannot be set",
      "its power cannot be dropped",
    ][step] + ` (${error})`
  );
}
