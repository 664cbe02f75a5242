import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** What `atoll version` tells. */
export interface Version {
  readonly version: string;
  /** Absent outside a git checkout. */
  readonly commit?: string;
  readonly node: string;
  readonly bun: string;
}

export async function readVersion(repo: string): Promise<Version> {
  const manifest: unknown = JSON.parse(await readFile(join(repo, "package.json"), "utf8"));
  const commit = await readCommit(repo);
  return {
    version: textOf(manifest, "version"),
    ...(commit === undefined ? {} : { commit }),
    node: process.version,
    bun: textOf(childOf(manifest, "optionalDependencies"), "@oven/bun-linux-x64"),
  };
}

function childOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? new Map(Object.entries(value)).get(key) : undefined;
}

function textOf(value: unknown, key: string): string {
  const found = childOf(value, key);
  return typeof found === "string" ? found : "unknown";
}

function readCommit(repo: string): Promise<string | undefined> {
  // The checkout may belong to another user than root.
  const words = ["-c", `safe.directory=${repo}`, "-C", repo, "rev-parse", "--short=12", "HEAD"];
  return new Promise((resolve) => {
    execFile("git", words, (error, stdout) => resolve(error === null ? stdout.trim() : undefined));
  });
}
