import { mkdir } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { systemClock } from "#core/clock.ts";
import { createLog, type Log } from "#core/log.ts";
import { createScreen, type Screen } from "../display/screen.ts";
import { createJsonStepReport, createStepReport } from "../display/step-report.ts";
import { Fault } from "../fault.ts";
import type { Common } from "../invocation.ts";
import { runSteps } from "../run-steps.ts";
import type { SetupStep } from "../setup/step.ts";
import { setupSteps } from "./setup-steps.ts";

/** What every verb works with: the one place that reads environment and terminal. */
export interface World {
  readonly repo: string;
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly searchPath: string;
  readonly isRoot: boolean;
  readonly json: boolean;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  /** One line on stdout. */
  readonly write: (line: string) => void;
  /** An event: as JSON or as text. */
  readonly tell: <E>(render: (event: E) => string) => (event: E) => void;
}

const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

export function createWorld({ home, json }: Common, signal: AbortSignal): World {
  const env = process.env;
  const write = (line: string): void => void process.stdout.write(`${line}\n`);
  const terminal = process.stdout.isTTY && env["TERM"] !== "dumb" && !json ? process.stdout : undefined;
  const screen = createScreen((text) => void process.stdout.write(text), terminal);
  return {
    repo: resolve(import.meta.dirname, "../../.."),
    home: resolve(home ?? (env["ATOLL_HOME"] || "/var/lib/atoll")),
    env,
    searchPath: [...new Set([...(env["PATH"] ?? "").split(delimiter), ...SYSTEM_FOLDERS])].join(delimiter),
    isRoot: process.getuid?.() === 0,
    json,
    screen,
    signal,
    write,
    tell: (render) => (event) => (json ? write(JSON.stringify(event)) : screen.print(render(event))),
  };
}

/** Makes the machine ready for sandboxes. */
export function setUp(world: World): Promise<void> {
  return runAll(setupSteps(world), world);
}

/** Runs those of some steps that are needed, and shows them. */
export async function runAll(steps: readonly SetupStep[], world: World): Promise<void> {
  const { home, repo, signal, screen } = world;
  await makeHome(home);
  const emit = world.json ? createJsonStepReport(world.write) : createStepReport(screen);
  const context = { home, repo, signal, log: setupLog(world) };
  await runSteps(steps, context, { clock: systemClock, emit });
}

/** Creates ATOLL_HOME; why it cannot be is one sentence. */
export async function makeHome(home: string): Promise<void> {
  try {
    await mkdir(join(home, "run"), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Fault(`cannot create ${home}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** Set-up's own log goes to stderr where steps are JSON; a person sees the steps instead. */
function setupLog({ json }: World): Log {
  const level = json ? "info" : "error";
  return createLog(
    level,
    (line) => void process.stderr.write(`${line}\n`),
    () => Date.now(),
  );
}
