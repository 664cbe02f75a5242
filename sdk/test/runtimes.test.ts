import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { freePort } from "../../test/harness/free-ports.ts";
import { BINARIES } from "../../test/harness/runtimes.ts";
import {
  answerJson,
  answerProblem,
  cut,
  dataFrame,
  endFrame,
  FRAMES,
  sandboxDocument,
  startServer,
  type Handler,
  type TestServer,
} from "./server.ts";

const run = promisify(execFile);
const main = new URL("./scenario-main.ts", import.meta.url).pathname;
const ID = "00000000-0000-4000-8000-000000000000";
const OUTPUT = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, at) => (at * 13) ^ (at >> 9)));

/** Bun forgets what comes together with the end of its connection: a server that cuts each time so would never be read. */
const CUT_MS = 20;
const cutSoon = (response: ServerResponse): void => void setTimeout(() => cut(response), CUT_MS);

/** Cuts, truncates and refuses at each step once, and otherwise behaves. */
function startMoodyServer(): Promise<TestServer> {
  const files = new Map<string, Buffer>();
  const commands: Handler = ({ path, headers, nth }, response) => {
    if (path.endsWith("/status")) return answerJson(response, 200, { exitCode: nth === 0 ? null : 0 });
    if (path.endsWith("/stdout")) {
      const offset = Number(headers["last-event-id"] ?? 0);
      response.writeHead(200, FRAMES);
      const rest = OUTPUT.subarray(offset, offset + 700_000);
      if (offset + rest.length === OUTPUT.length)
        return void response.end(Buffer.concat([dataFrame(rest), endFrame(OUTPUT.length)]));
      return void response.write(Buffer.concat([dataFrame(rest), Buffer.from([1, 0])]), () => cutSoon(response));
    }
    if (!path.endsWith("/stderr")) return void response.writeHead(204).end();
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (headers["last-event-id"] === undefined)
      return void response.write("data: a\u20ac\nid: 4\n\ndata: x", () => cutSoon(response));
    response.end("data: b\nid: 5\n\n");
  };
  return startServer((seen, response) => {
    const { method, path, query, body, nth } = seen;
    if (path === "/v1/sandboxes/unknown") return answerProblem(response, 409, "outcome-unknown", "Unknown.");
    if (path === "/v1/sandboxes/hangs") return;
    if (path === "/v1/sandboxes" && nth === 0) return cut(response);
    if (path === "/v1/sandboxes") return answerJson(response, 201, sandboxDocument("box"));
    if (path.endsWith("/commands") && nth === 0) return answerProblem(response, 503, "unavailable", "Not now.");
    if (path.endsWith("/commands")) return answerJson(response, 202, { id: ID });
    if (path.includes("/commands/")) return commands(seen, response);
    if (method === "DELETE") return void response.writeHead(204).end();
    const name = query.get("path") ?? "";
    if (method === "POST") {
      files.set(name, body);
      return void response.writeHead(204).end();
    }
    const file = files.get(name);
    if (file === undefined) return answerProblem(response, 404, "file-not-found", "There is no such file.");
    response.writeHead(200, { "content-length": file.length });
    if (nth === 1) return void response.write(file.subarray(0, file.length / 2), () => cutSoon(response));
    response.end(file);
  });
}

const expected = {
  ran: { id: ID, exitCode: 0, stdout: OUTPUT.toString(), stderr: "a\u20acb" },
  sizeBytes: OUTPUT.length,
  sum: OUTPUT.reduce((sum, byte) => (sum * 31 + byte) % 1_000_003, 0),
  text: "a\u20acb",
  uploadedBytes: 2_000_000,
  uploadedRight: true,
  emptyBytes: 0,
  missing: true,
  unknown: true,
  aborted: "enough",
};

test.each([
  ["Node", BINARIES.node, []],
  ["Bun", BINARIES.bun, []],
  ["Deno", BINARIES.deno, ["run", "--no-config", "--allow-net", "--allow-env"]],
])(
  "sdk: does the same on %s against a server that cuts",
  async (_, binary, args) => {
    await using server = await startMoodyServer();
    const options = { env: { ...process.env, ATOLL_URL: server.url }, timeout: 60_000, maxBuffer: 64 << 20 };
    const { stdout } = await run(binary, [...args, main], options);
    expect(JSON.parse(stdout)).toEqual(expected);
  },
  60_000,
);

test("sdk: does the same on workerd", async () => {
  const folder = await mkdtemp(join(tmpdir(), "atoll-sdk-"));
  await using server = await startMoodyServer();
  const port = await freePort();
  await build({
    entryPoints: [new URL("./scenario-worker.ts", import.meta.url).pathname],
    outfile: join(folder, "worker.js"),
    bundle: true,
    format: "esm",
    platform: "neutral",
  });
  await writeFile(join(folder, "config.capnp"), workerConfig(server.url, port));
  const workerd = spawn(BINARIES.workerd, ["serve", "config.capnp"], {
    cwd: folder,
    stdio: "ignore",
  });
  try {
    expect(await (await fetchWhenUp(`http://127.0.0.1:${port}/`)).json()).toEqual(expected);
  } finally {
    workerd.kill("SIGKILL");
    await rm(folder, { recursive: true });
  }
}, 60_000);

function workerConfig(url: string, port: number): string {
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["local", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  bindings = [(name = "url", text = "${url}")],
  compatibilityDate = "2026-01-01",
);
`;
}

async function fetchWhenUp(url: string): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await fetch(url);
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
