import { randomUUID } from "node:crypto";
import { AgentCommand, AgentHealth, type AgentCreateCommand } from "#api/agent.ts";
import { decodeFrames } from "#core/frames.ts";
import { Problem, problemSlug } from "#api/problem.ts";
import type { AgentSandbox } from "./sandbox.ts";
import { KILL_AGENT } from "../harness/restart-agent.ts";
import { until } from "../harness/until.ts";

/** Whoever sends requests to an agent with what it asks for. */
export type AgentPeer = Pick<AgentSandbox, "fetch">;

export type CommandOptions = Partial<Omit<AgentCreateCommand, "args">> & { readonly container?: string };

/** What a stream gave until its body ended. */
export interface Collected {
  readonly bytes: Buffer;
  readonly ended: { kind: "end"; totalBytes: number } | { kind: "lost"; reason: string } | undefined;
}

/** Starts a command in `main` and gives its id. */
export async function start(
  sandbox: AgentPeer,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { container = "main", id = randomUUID(), ...rest } = options;
  const response = await sandbox.fetch(`/v1/commands?container=${container}`, {
    method: "POST",
    body: JSON.stringify({ id, args, ...rest }),
  });
  if (response.status !== 202) throw new Error(`The command did not start: ${await response.text()}`);
  AgentCommand.parse(await response.json());
  return id;
}

/** Waits until a command has ended. */
export async function ended(sandbox: AgentPeer, id: string): Promise<AgentCommand> {
  for (;;) {
    const command = AgentCommand.parse(await (await sandbox.fetch(`/v1/commands/${id}?waitMs=20000`)).json());
    if (command.state !== "running") return command;
  }
}

export async function collect(
  sandbox: AgentPeer,
  id: string,
  stream: "stdout" | "stderr",
  options: { offset?: number; most?: number } = {},
): Promise<Collected> {
  return readFrames(await sandbox.fetch(`/v1/commands/${id}/${stream}?offset=${options.offset ?? 0}`), options.most);
}

/** The bytes of a framed answer, up to `most`. */
export async function readFrames(response: Response, most = Infinity): Promise<Collected> {
  if (response.status !== 200 || response.body === null) throw new Error(`No stream: ${await response.text()}`);
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const frame of decodeFrames(response.body)) {
    if (frame.kind === "idle") continue;
    if (frame.kind !== "data") return { bytes: Buffer.concat(pieces), ended: frame };
    pieces.push(frame.bytes);
    size += frame.bytes.length;
    if (size >= most) return { bytes: Buffer.concat(pieces).subarray(0, most), ended: undefined };
  }
  return { bytes: Buffer.concat(pieces), ended: undefined };
}

/** Runs a command to its end. */
export async function exec(sandbox: AgentPeer, args: readonly string[], options: CommandOptions = {}) {
  const id = await start(sandbox, args, options);
  const command = await ended(sandbox, id);
  const [stdout, stderr] = [await collect(sandbox, id, "stdout"), await collect(sandbox, id, "stderr")];
  return { id, command, exitCode: command.exitCode, stdout: stdout.bytes.toString(), stderr: stderr.bytes.toString() };
}

export function shell(sandbox: AgentPeer, script: string, options: CommandOptions = {}) {
  return exec(sandbox, ["/bin/sh", "-c", script], options);
}

/** Status and slug of an answer that is an error. */
export async function problemOf(
  response: Response,
): Promise<{ status: number; slug: string | undefined; problem: Problem }> {
  const problem = Problem.parse(await response.json());
  return { status: response.status, slug: problemSlug(problem.type), problem };
}

/** A request that reaches the socket of an agent just killed may get no answer at all, hence the deadline. */
async function health(sandbox: AgentPeer): Promise<AgentHealth | undefined> {
  try {
    return AgentHealth.parse(await (await sandbox.fetch("/v1/health", { signal: AbortSignal.timeout(1000) })).json());
  } catch {
    return undefined;
  }
}

/** Kills the agent as root in a user's container can, and waits for the next one. */
export async function killAgent(sandbox: AgentPeer): Promise<void> {
  const before = await health(sandbox);
  await sandbox.fetch("/v1/commands?container=main", {
    method: "POST",
    body: JSON.stringify({ id: randomUUID(), args: ["sh", "-c", `sleep 0.2; ${KILL_AGENT}`] }),
  });
  await until(
    () => health(sandbox),
    (now) => now !== undefined && now.instance !== before?.instance,
  );
}
