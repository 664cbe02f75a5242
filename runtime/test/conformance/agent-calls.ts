import { AgentCommand, AGENT_PATHS } from "#api/agent.ts";
import { Problem } from "#api/problem.ts";
import { decodeFrames } from "#core/frames.ts";
import type { AgentFetch } from "#runtime/backend/port.ts";

export interface Finished {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SpawnOptions {
  readonly container?: string;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly timeoutMs?: number;
  readonly id?: string;
}

/** The agent's protocol as a test speaks it. */
export function agentCalls(fetch: AgentFetch) {
  const send = (path: string, init?: RequestInit & { duplex?: "half" }): Promise<Response> =>
    fetch(new Request(`http://agent${path}`, init));

  async function spawn(
    args: readonly string[],
    { container, id = crypto.randomUUID(), ...rest }: SpawnOptions = {},
  ): Promise<string> {
    const query = container === undefined ? "" : `?container=${container}`;
    const response = await send(`${AGENT_PATHS.commands}${query}`, {
      method: "POST",
      body: JSON.stringify({ id, args, ...rest }),
    });
    if (response.status !== 202) throw new Error(`Cannot spawn: ${response.status} ${await response.text()}`);
    return AgentCommand.parse(await response.json()).id;
  }

  async function status(id: string, waitMs = 0): Promise<AgentCommand> {
    return AgentCommand.parse(await (await send(`${AGENT_PATHS.commands}/${id}?waitMs=${waitMs}`)).json());
  }

  async function read(id: string, stream: "stdout" | "stderr", offset = 0) {
    const response = await send(`${AGENT_PATHS.commands}/${id}/${stream}?offset=${offset}`);
    if (!response.ok || response.body === null)
      throw new Error(`Cannot read: ${response.status} ${await response.text()}`);
    const chunks: Uint8Array[] = [];
    let end: "cut" | "lost" | number = "cut";
    for await (const frame of decodeFrames(response.body)) {
      if (frame.kind === "data") chunks.push(frame.bytes.slice());
      if (frame.kind === "end") end = frame.totalBytes;
      if (frame.kind === "lost") end = "lost";
    }
    return { bytes: new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer()), end };
  }

  async function text(id: string, stream: "stdout" | "stderr"): Promise<string> {
    return new TextDecoder().decode((await read(id, stream)).bytes);
  }

  return {
    send,
    spawn,
    status,
    read,
    text,
    async problem(path: string, init?: RequestInit): Promise<Problem> {
      return Problem.parse(await (await send(path, init)).json());
    },
    async run(args: readonly string[], options?: SpawnOptions): Promise<Finished> {
      const id = await spawn(args, options);
      let view = await status(id, 20_000);
      while (view.state === "running") view = await status(id, 20_000);
      return { exitCode: view.exitCode, stdout: await text(id, "stdout"), stderr: await text(id, "stderr") };
    },
    async stdin(id: string, bytes: string): Promise<number> {
      return (await send(`${AGENT_PATHS.commands}/${id}/stdin`, { method: "POST", body: bytes })).status;
    },
    async closeStdin(id: string): Promise<number> {
      return (await send(`${AGENT_PATHS.commands}/${id}/stdin/close`, { method: "POST" })).status;
    },
    async kill(id: string): Promise<number> {
      return (await send(`${AGENT_PATHS.commands}/${id}`, { method: "DELETE" })).status;
    },
    async put(path: string, body: string, container?: string): Promise<Response> {
      const query = new URLSearchParams({ path, ...(container === undefined ? {} : { container }) });
      return send(`${AGENT_PATHS.files}?${query}`, { method: "PUT", body });
    },
    async get(path: string, container?: string): Promise<Response> {
      const query = new URLSearchParams({ path, ...(container === undefined ? {} : { container }) });
      return send(`${AGENT_PATHS.files}?${query}`);
    },
  };
}

export type AgentCalls = ReturnType<typeof agentCalls>;
