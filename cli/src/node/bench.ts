import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Names of the programs in `bench/`; what they share lies in folders below it. */
export async function listBenches(repo: string): Promise<readonly string[]> {
  const names = await readdir(join(repo, "bench")).catch(() => []);
  return names
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .map((name) => name.slice(0, -".ts".length))
    .toSorted();
}

export interface BenchRun {
  readonly repo: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly json: boolean;
  readonly signal: AbortSignal;
}

/** Runs one benchmark with this terminal as its own; answers whether it ended well. */
export function runBench(name: string, { repo, env, json, signal }: BenchRun): Promise<boolean> {
  const words = [join(repo, "bench", `${name}.ts`), ...(json ? ["--json"] : [])];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, words, { cwd: repo, env: { ...env }, stdio: "inherit", signal });
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
}
