import { execFile } from "node:child_process";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import type { Host } from "../ports.ts";
import { isMissing, pathOnNode } from "./node-files.ts";
import { findContainerds, ownContainerdSocket } from "./processes.ts";

export interface HostOptions {
  /** Where the node's file system is mounted. */
  readonly root: string;
  /** Program that runs others in the node's mount namespace. */
  readonly enterHost: string;
}

const MOST_OUTPUT_BYTES = 16 << 20;
const LONGEST_RUN_MS = 120_000;
const LONGEST_FAULT = 500;

/** The node under a privileged pod that shares its process namespace. */
export function createHost({ root, enterHost }: HostOptions): Host {
  return {
    async readText(path) {
      try {
        return await readFile(await pathOnNode(root, path), "utf8");
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },

    async writeText(path, text) {
      await writeDurably(await pathOnNode(root, path), text);
    },

    async removeFile(path) {
      await rm(await pathOnNode(root, path), { force: true });
    },

    run: (pid, command, { signal }) =>
      new Promise((resolve, reject) => {
        const options = { signal, timeout: LONGEST_RUN_MS, maxBuffer: MOST_OUTPUT_BYTES };
        execFile(enterHost, [String(pid), ...command], options, (error, stdout, stderr) => {
          if (error === null) return resolve(stdout);
          if (signal.aborted) return reject(signal.reason);
          const why = (stderr.trim() === "" ? stdout : stderr).trim().slice(-LONGEST_FAULT) || error.message;
          return reject(new Error(`${command.join(" ")} fails: ${why}`, { cause: error }));
        });
      }),

    containerds: findContainerds,
    ownSocket: () => ownContainerdSocket(process.pid),

    async terminate(pid) {
      process.kill(pid, "SIGTERM");
    },
  };
}

/** A reader sees the old text or the new one, also after a loss of power. */
async function writeDurably(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const mode = await stat(path).then(
    (found) => found.mode & 0o7777,
    () => 0o644,
  );
  // Begins with a dot and ends otherwise, so that no import of *.toml finds it.
  const part = join(folder, `.${basename(path)}.atoll-part`);
  await rm(part, { force: true });
  const file = await open(part, "wx", mode);
  try {
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, path);
  await syncFolder(folder);
}

/** Makes what was renamed in a folder last. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
