import { mkdir, rm, writeFile } from "node:fs/promises";
import { existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { findBox } from "#testbed/node/box.ts";
import { freePort } from "./free-ports.ts";
import { startLogged } from "./logged-process.ts";
import { RUNTIMES } from "./runtimes.ts";

/** What a mounter answers kubelet on the testbed's node, where the test decides what that is. */
export interface KubeletAnswers {
  readonly port: number;
  /** Whether kubelet has asked this. */
  wasAsked(path: string): boolean;
  /** From now on the answer is yes; before, there is none. */
  allow(path: string): Promise<void>;
  dispose(): Promise<void>;
}

/** `folder` belongs to the answers alone. */
export async function startKubeletAnswers(folder: string): Promise<KubeletAnswers> {
  const box = await findBox();
  if (box === undefined) throw new Error("The testbed is not up; start it with ./atoll testbed up");
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  // On the node's network, whose loopback address kubelet asks; with this machine's files.
  const words = ["nsenter", `--target=${box.pid}`, "--net", "--", ...RUNTIMES.node, import.meta.filename];
  const child = startLogged([...words, folder, String(port)], { logPath: join(folder, "log"), env: process.env });
  const answers: KubeletAnswers = {
    port,
    wasAsked: (path) => existsSync(noteOf(folder, "asked", path)),
    allow: (path) => writeFile(noteOf(folder, "yes", path), ""),
    async dispose() {
      await child.end("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
  return answers;
}

function noteOf(folder: string, kind: "asked" | "yes", path: string): string {
  return join(folder, `${kind}-${encodeURIComponent(path)}`);
}

function serve(folder: string, port: number): void {
  createServer((request, response) => {
    const { url = "" } = request;
    writeFileSync(noteOf(folder, "asked", url), "");
    const look = setInterval(() => {
      const isAllowed = existsSync(noteOf(folder, "yes", url));
      if (isAllowed) response.writeHead(200).end();
      if (isAllowed || response.destroyed) clearInterval(look);
    }, 50);
  }).listen(port, "127.0.0.1");
}

if (import.meta.main) {
  const [folder = "", port = ""] = process.argv.slice(2);
  serve(folder, Number(port));
}
