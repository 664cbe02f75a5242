import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { registryProgram } from "./registry-program.ts";

export interface LocalRegistry {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  /** Its blobs, as Docker's registry lays them out. */
  readonly storageDir: string;
  stop(): Promise<void>;
}

/** The only account of a closed registry. */
export const READER = { name: "reader", password: "open-sesame" } as const;
const HTPASSWD = `${READER.name}:$2y$05$47ZsWf7MqhuwVi6mc9zd0.L/KeBZ3.gJoPhgw0/zyps36VL5WJ/SW\n`;

/** Starts a real registry on a free loopback port; a closed one wants READER's credentials. */
export async function startRegistry({ closed = false } = {}): Promise<LocalRegistry> {
  const dir = await mkdtemp(join(tmpdir(), "atoll-registry-"));
  const storageDir = join(dir, "storage");
  const auth = closed ? `auth:\n  htpasswd:\n    realm: test\n    path: ${join(dir, "htpasswd")}\n` : "";
  const config = `version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ${storageDir}\nhttp:\n  addr: 127.0.0.1:0\n${auth}`;
  await writeFile(join(dir, "config.yml"), config);
  await writeFile(join(dir, "htpasswd"), HTPASSWD);
  const child = spawn(await registryProgram(), ["serve", join(dir, "config.yml")], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: "/usr/bin:/bin", OTEL_TRACES_EXPORTER: "none" },
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const host = await new Promise<string>((resolve, reject) => {
    createInterface(child.stderr).on("line", (line) => {
      const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port !== undefined) resolve(`127.0.0.1:${port}`);
    });
    void ended.then(() => reject(new Error("The registry ended before it listened")));
  });
  return {
    host,
    storageDir,
    async stop() {
      child.kill("SIGKILL");
      await ended;
      await rm(dir, { recursive: true });
    },
  };
}
