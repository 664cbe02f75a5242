import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { freePort } from "../../../test/harness/free-ports.ts";
import { BINARIES } from "../../../test/harness/runtimes.ts";
import { untilReady } from "../../../test/harness/until-ready.ts";

export type RuntimeName = keyof typeof BINARIES;

/** A gateway process over the memory backend. */
export interface RunningGateway {
  readonly url: string;
  readonly runtime: RuntimeName;
  readonly port: number;
  /** Where its metrics are, if it was told to serve them. */
  readonly metricsPort?: number;
  /** Ends it as a service manager does; its exit code. */
  stop(): Promise<number | null>;
}

type Environment = Readonly<Record<string, string>>;

const ROOT = join(import.meta.dirname, "../../..");
const START_TIMEOUT_MS = 60_000;
/** Without this flag a request's signal aborts after each answer too. */
const DENO_ARGUMENTS = ["run", "--quiet", "--allow-all", "--unstable-no-legacy-abort"];

export async function startGateway(runtime: RuntimeName, env: Environment = {}): Promise<RunningGateway> {
  return runtime === "workerd" ? startWorkerd(env) : startProcess(runtime, env);
}

async function startProcess(runtime: "bun" | "deno" | "node", env: Environment): Promise<RunningGateway> {
  const entry = join(ROOT, `runtime/src/entry/${runtime}.ts`);
  const child = spawn(BINARIES[runtime], [...(runtime === "deno" ? DENO_ARGUMENTS : []), entry], {
    cwd: ROOT,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      ATOLL_BACKEND: "memory",
      ATOLL_LISTEN: "127.0.0.1:0",
      ...env,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  return running(runtime, child, await listeningPorts(child));
}

type Ports = Pick<RunningGateway, "port" | "metricsPort">;

/** The ports in the lines that say where the gateway listens. */
async function listeningPorts(child: ChildProcess): Promise<Ports> {
  const lines = createInterface({ input: child.stdout! });
  const ports = new Promise<Ports>((resolve, reject) => {
    let metrics = {};
    lines.on("line", (line) => {
      const { message, port } = JSON.parse(line) as { message?: string; port?: number };
      if (port === undefined) return;
      if (message === "metrics listening") metrics = { metricsPort: port };
      if (message === "gateway listening") resolve({ port, ...metrics });
    });
    child.once("exit", (code) => reject(new Error(`The gateway ended with code ${code} before it listened`)));
    setTimeout(() => reject(new Error("The gateway did not begin to listen")), START_TIMEOUT_MS).unref();
  });
  return ports.catch((error: unknown) => {
    child.kill("SIGKILL");
    throw error;
  });
}

async function startWorkerd(env: Environment): Promise<RunningGateway> {
  const folder = await mkdtemp(join(tmpdir(), "atoll-workerd-"));
  const port = await freePort();
  const bundle = { entryPoints: [join(ROOT, "runtime/src/entry/workerd.ts")], outfile: join(folder, "gateway.js") };
  await build({
    ...bundle,
    bundle: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd"],
    logLevel: "warning",
  });
  await writeFile(join(folder, "config.capnp"), workerdConfig(port, env));
  const child = spawn(BINARIES.workerd, ["serve", join(folder, "config.capnp")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  child.once("exit", () => void rm(folder, { recursive: true, force: true }));
  const gateway = running("workerd", child, { port });
  await untilReady(`${gateway.url}/health`, { who: "The gateway on workerd", timeoutMs: START_TIMEOUT_MS });
  return gateway;
}

function workerdConfig(port: number, env: Environment): string {
  const bindings = Object.entries(env).map(
    ([name, value]) => `(name = ${JSON.stringify(name)}, text = ${JSON.stringify(value)}),`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "gateway", worker = .gateway)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "gateway")],
);
const gateway :Workerd.Worker = (
  modules = [(name = "gateway.js", esModule = embed "gateway.js")],
  compatibilityDate = "2026-11-01",
  compatibilityFlags = ["enable_request_signal"],
  durableObjectNamespaces = [(className = "GatewayObject", uniqueKey = "gateway")],
  durableObjectStorage = (inMemory = void),
  bindings = [(name = "GATEWAY", durableObjectNamespace = "GatewayObject"), ${bindings.join(" ")}],
);
`;
}

function running(runtime: RuntimeName, child: ChildProcess, ports: Ports): RunningGateway {
  const ended = once(child, "exit").then(([code]) => code as number | null);
  return {
    url: `http://127.0.0.1:${ports.port}`,
    runtime,
    ...ports,
    stop() {
      child.kill("SIGTERM");
      return ended;
    },
  };
}
