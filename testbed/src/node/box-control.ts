import { request } from "node:http";
import * as z from "zod";
import type { ComponentStatus } from "../component.ts";
import type { Layout } from "../layout.ts";

const Status = z.array(
  z.object({
    name: z.string(),
    state: z.enum(["waiting", "running", "restarting", "stopped"]),
    pid: z.int().optional(),
    restarts: z.int(),
    healthy: z.boolean(),
  }),
);

/** What the machine, and tests, ask of the supervisor in the box. */
export interface BoxControl {
  components(): Promise<ComponentStatus[]>;
  /** Sends a signal; the supervisor starts again what ends by it. */
  kill(name: string, signal?: NodeJS.Signals): Promise<void>;
  /** Ends a component and keeps it down. */
  stop(name: string): Promise<void>;
  start(name: string): Promise<void>;
}

const ANSWER_WITHIN_MS = 20_000;

export function createBoxControl({ controlSocket }: Pick<Layout, "controlSocket">): BoxControl {
  const act = async (name: string, action: string): Promise<void> => {
    await call(controlSocket, "POST", `/components/${encodeURIComponent(name)}/${action}`);
  };
  return {
    components: async () =>
      Status.parse(JSON.parse(await call(controlSocket, "GET", "/components"))).map(({ pid, ...rest }) => ({
        ...rest,
        ...(pid === undefined ? {} : { pid }),
      })),
    kill: (name, signal = "SIGKILL") => act(name, `kill?signal=${signal}`),
    stop: (name) => act(name, "stop"),
    start: (name) => act(name, "start"),
  };
}

function call(socketPath: string, method: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.once("error", reject);
      response.once("end", () => {
        const text = Buffer.concat(parts).toString();
        const isGood = (response.statusCode ?? 500) < 300;
        if (isGood) resolve(text);
        else reject(new Error(`The testbed refused ${method} ${path}: ${text}`));
      });
    });
    asked.once("error", reject);
    asked.end();
  });
}
