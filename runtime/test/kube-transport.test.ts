import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RUNTIMES, type RuntimeName } from "../../test/harness/runtimes.ts";

/** An API server as it may be met, by path. */
type Page = (request: IncomingMessage, response: ServerResponse) => void;

let directory = "";
let asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
  const page = PAGES[request.url?.split("?")[0] ?? ""];
  request
    .resume()
    .once("end", () => (page === undefined ? response.writeHead(404).end("no page") : page(request, response)));
});
const tokenPath = (): string => join(directory, "token");

const PAGES: Record<string, Page> = {
  "/plain": (_, response) => response.end("plain"),
  "/dropped": (request) => request.socket.destroy(),
  "/short": (request, response) => {
    response.writeHead(200, { "content-length": "100" }).write("too short", () => request.socket.destroy());
  },
  "/last": (_, response) => {
    // Ends the connection after the answer, without saying so.
    response.end("last", () => setImmediate(() => response.socket?.destroy()));
  },
  "/rotated": (request, response) => {
    const isNew = request.headers.authorization === "Bearer new";
    if (!isNew) writeFileSync(tokenPath(), "new\n");
    response.writeHead(isNew ? 200 : 401).end(isNew ? "let in" : "expired");
  },
  "/stream": (_, response) => {
    response.write("one");
    setTimeout(() => response.write("two", () => setTimeout(() => response.end(), 50)), 200);
  },
  "/cut": (request, response) => {
    response.write("one", () => setTimeout(() => request.socket.destroy(), 50));
  },
};

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "atoll-transport-"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  asked = [];
  writeFileSync(tokenPath(), "old\n");
});

/** Lines of a visitor on a runtime. */
async function visit(runtime: RuntimeName, port: number, paths: readonly string[]): Promise<string[]> {
  const kubeconfig = join(directory, "kubeconfig");
  const config = {
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
    clusters: [{ name: "x", cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name: "x", user: { tokenFile: "token" } }],
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const [program, ...words] = RUNTIMES[runtime];
  const child = spawn(program, [...words, join(import.meta.dirname, "kube/visitor.ts"), kubeconfig, ...paths], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 30_000,
  });
  return (await text(child.stdout)).trim().split("\n");
}

describe.each(["node", "bun", "deno"] satisfies RuntimeName[])(
  "createKubeFetch() on %s",
  { timeout: 60_000 },
  (runtime) => {
    const port = (): number => (server.address() as AddressInfo).port;

    it("asks, streams watches, and takes new credentials when the old ones are refused", async () => {
      const lines = await visit(runtime, port(), [
        "GET /plain",
        "POST /rotated",
        "GET /stream?watch=true",
        "GET /none",
      ]);
      expect(lines).toEqual(["200 plain", "200 let in", "piece one", "piece two", "200 end", "404 no page"]);
      expect(asked.slice(0, 3)).toEqual([
        "GET /plain Bearer old",
        "POST /rotated Bearer old",
        "POST /rotated Bearer new",
      ]);
    });

    it("says that nothing was sent only where nothing was", async () => {
      expect(await visit(runtime, 1, ["POST /plain"])).toEqual(["error unsent"]);
      const lines = await visit(runtime, port(), ["POST /dropped", "GET /plain", "POST /dropped"]);
      expect(lines).toEqual(["error", "200 plain", "error"]);
    });

    it("takes no short answer for a whole one, and no cut stream for an ended one", async () => {
      const lines = await visit(runtime, port(), ["GET /short", "GET /cut?watch=true"]);
      expect(lines).toEqual(["error", "piece one", "error"]);
    });

    it("goes on after a kept connection was ended", async () => {
      expect(await visit(runtime, port(), ["GET /last", "GET /stream?watch=true", "GET /plain"])).toEqual([
        "200 last",
        "piece one",
        "piece two",
        "200 end",
        "200 plain",
      ]);
    });

    it("and the way to agents outlive an abort, after an answer as in the middle of one", async () => {
      const [program, ...words] = RUNTIMES[runtime];
      const script = join(import.meta.dirname, "kube/late-abort.ts");
      const child = spawn(program, [...words, script, String(port())], {
        stdio: ["ignore", "pipe", "inherit"],
        timeout: 30_000,
      });
      expect(await text(child.stdout)).toBe("plain\nplain\n");
    });
  },
);
