import process from "node:process";
import { createKubeFetch } from "#core/kubernetes/node/kube-fetch.ts";
import { createAgentFetch } from "#runtime/agent/node/agent-fetch.ts";

/**
 * Aborts requests to a port after their answers have ended, and in the middle of one, then asks
 * once more: `late-abort.ts PORT`. Prints what came of the last.
 */
const port = Number(process.argv[2]);
const agent = createAgentFetch({ address: { host: "127.0.0.1", port }, token: async () => "token" });
const credentials = { get: async () => ({ headers: {}, tls: {} }), expire: () => undefined };
const kube = createKubeFetch({ server: `http://127.0.0.1:${port}`, credentials }, { userAgent: "visitor" });
const ways: ((path: string, signal?: AbortSignal) => Promise<Response>)[] = [
  (path, signal) => agent.fetch(new Request(`http://agent${path}`, signal === undefined ? {} : { signal })),
  (path, signal) => kube(path, signal === undefined ? {} : { signal }),
];

/** Takes the first piece of an answer. */
async function begin(ask: (typeof ways)[number], path: string) {
  const life = new AbortController();
  // As callers have it: one reason among several to give up.
  const response = await ask(path, AbortSignal.any([new AbortController().signal, life.signal]));
  const reader = response.body?.getReader();
  await reader?.read();
  return { reader, abort: () => life.abort(new Error("no longer wanted")) };
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

for (const ask of ways) {
  for (let i = 0; i < 5; i += 1) {
    const whole = await begin(ask, "/plain");
    await whole.reader?.read();
    whole.abort();
    await pause();
    const unread = await begin(ask, "/plain");
    unread.abort();
    await unread.reader?.cancel().catch(() => undefined);
    await pause();
    const cancelled = await begin(ask, "/plain");
    await cancelled.reader?.cancel();
    cancelled.abort();
    await pause();
    const cut = await begin(ask, "/stream?watch=true");
    cut.abort();
    const end = await cut.reader?.read().catch(() => "broken");
    if (end !== "broken") process.stdout.write(`an aborted answer went on: ${JSON.stringify(end)}\n`);
    await pause();
  }
  process.stdout.write(`${await (await ask("/plain")).text()}\n`);
}
process.exit(0);
