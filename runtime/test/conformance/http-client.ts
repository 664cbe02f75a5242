import { connect, type Socket } from "node:net";
import type { RunningGateway } from "./start-gateway.ts";

/** Requests to one gateway as a test writes them. */
export function httpClient({ url }: Pick<RunningGateway, "url">) {
  const send = (path: string, init?: RequestInit): Promise<Response> => fetch(`${url}${path}`, init);
  const sendJson = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    send(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
    });

  const sandboxBody = (container: object = {}, rest: object = {}): object => ({
    podTemplate: { containers: [{ image: "atoll/debian", ...container }] },
    ...rest,
  });

  const made: string[] = [];

  async function sandbox(body: object = sandboxBody()): Promise<string> {
    const answer = await sendJson("/v1/sandboxes", body);
    if (answer.status !== 201) throw new Error(`Cannot create: ${answer.status} ${await answer.text()}`);
    const path = `/v1/sandboxes/${((await answer.json()) as { id: string }).id}`;
    made.push(path);
    return path;
  }

  /** Removes what `sandbox` made. */
  async function removeAll(): Promise<void> {
    await Promise.all(made.splice(0).map((path) => send(path, { method: "DELETE" })));
  }

  /** Starts a command; its path. */
  async function spawn(base: string, args: readonly string[], rest: object = {}): Promise<string> {
    const answer = await sendJson(`${base}/commands`, { args, ...rest });
    if (answer.status !== 202) throw new Error(`Cannot spawn: ${answer.status} ${await answer.text()}`);
    return `${base}/commands/${((await answer.json()) as { id: string }).id}`;
  }

  return {
    url,
    send,
    sendJson,
    sandboxBody,
    sandbox,
    removeAll,
    spawn,
    async exitCode(command: string): Promise<number | null> {
      for (;;) {
        const answer = await send(`${command}/status?waitSeconds=20`);
        const { exitCode } = (await answer.json()) as { exitCode: number | null };
        if (exitCode !== null || !answer.ok) return exitCode;
      }
    },
    /** A connection on which a test writes and cuts as it likes. */
    async raw(text: string): Promise<Socket> {
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port || 80), hostname);
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      socket.on("error", () => undefined);
      socket.write(text.replaceAll("\n", "\r\n"));
      return socket;
    },
  };
}

export type HttpClient = ReturnType<typeof httpClient>;

/** Retries until the check holds; its last failure otherwise. */
export async function eventually<T>(check: () => Promise<T>, timeoutMs = 10_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
