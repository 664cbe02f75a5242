import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { startMonitor } from "./monitor.ts";
import type { Register } from "./registration.ts";

const PROJECT = "atoll";
const ROOT = join(import.meta.dirname, "../../..");
/** What the engine's Node host starts a program with. */
const HOST = join(dirname(createRequire(import.meta.url).resolve("@pulumi/pulumi/package.json")), "cmd/run");

export interface ProgramOptions {
  /** Keys of the stack without the project's name; structures are JSON in a stack. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly secretKeys?: readonly string[];
  readonly stack?: string;
  readonly isPreview?: boolean;
  readonly signal: AbortSignal;
}

export interface ProgramResult {
  readonly exitCode: number | null;
  /** What the program said: its warnings and errors, then its own output. */
  readonly messages: readonly string[];
}

/** Runs `infra/index.ts` as `pulumi up` does: in Pulumi's Node host, over Pulumi's own protocol. */
export async function runProgram(options: ProgramOptions, register: Register): Promise<ProgramResult> {
  const stack = options.stack ?? "test";
  const stackUrn = `urn:pulumi:${stack}::${PROJECT}::pulumi:pulumi:Stack::${PROJECT}-${stack}`;
  const monitor = await startMonitor(stackUrn, register);
  try {
    const child = spawn(process.execPath, hostArguments(stack, monitor.address, options.isPreview ?? false), {
      cwd: join(ROOT, "infra"),
      env: {
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        PULUMI_NODEJS_TYPESCRIPT: "false",
        PULUMI_CONFIG: JSON.stringify(configOf(options.settings)),
        PULUMI_CONFIG_SECRET_KEYS: JSON.stringify((options.secretKeys ?? []).map((key) => `${PROJECT}:${key}`)),
      },
      stdio: ["ignore", "pipe", "pipe"],
      signal: options.signal,
    });
    const [stdout, stderr, [exitCode]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    return { exitCode, messages: [...monitor.messages, stdout, stderr].filter((message) => message.trim() !== "") };
  } finally {
    monitor.stop();
  }
}

function hostArguments(stack: string, address: string, isPreview: boolean): string[] {
  return [
    HOST,
    `--monitor=${address}`,
    `--engine=${address}`,
    `--project=${PROJECT}`,
    `--stack=${stack}`,
    `--root-directory=${ROOT}`,
    `--pwd=${join(ROOT, "infra")}`,
    "--parallel=16",
    ...(isPreview ? ["--dry-run"] : []),
    ".",
  ];
}

function configOf(settings: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [
      key.includes(":") ? key : `${PROJECT}:${key}`,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}
