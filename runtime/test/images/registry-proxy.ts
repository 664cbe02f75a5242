import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface RegistryProxy {
  readonly host: string;
  /** Method and path of each request so far. */
  readonly seen: string[];
  /** From now on requests with a matching path wait; `first` resolves with the first of them, `open` lets all pass. */
  hold(path: RegExp): { first: Promise<void>; open: () => void };
  /** Answers matching requests with this status instead of asking the registry. */
  answer(path: RegExp, status: number, body: string): void;
  stop(): Promise<void>;
}

/** A proxy before a registry that counts, holds and falsifies. */
export async function startRegistryProxy(target: string): Promise<RegistryProxy> {
  const seen: string[] = [];
  const answers: { path: RegExp; status: number; body: string }[] = [];
  let gate: { path: RegExp; reached: () => void; opened: Promise<void> } | undefined;
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const path = incoming.url ?? "/";
      seen.push(`${incoming.method} ${path}`);
      const answer = answers.find((candidate) => candidate.path.test(path));
      if (answer !== undefined) return void outgoing.writeHead(answer.status).end(answer.body);
      if (gate?.path.test(path) === true) {
        gate.reached();
        await gate.opened;
      }
      forward(target, incoming, outgoing);
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    hold(path) {
      const first = Promise.withResolvers<void>();
      const opened = Promise.withResolvers<void>();
      gate = { path, reached: first.resolve, opened: opened.promise };
      return {
        first: first.promise,
        open: () => {
          gate = undefined;
          opened.resolve();
        },
      };
    },
    answer: (path, status, body) => void answers.push({ path, status, body }),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function forward(target: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const [host = "", port = ""] = target.split(":");
  const onward = request(
    { host, port, path: incoming.url, method: incoming.method, headers: incoming.headers },
    (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    },
  );
  onward.on("error", () => outgoing.destroy());
  outgoing.on("close", () => onward.destroy());
  incoming.pipe(onward);
}
