import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** Runs a program of the lab; a failure is an error with what the program said. */
export function sh(command: string, args: readonly string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "pipe" });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdin.on("error", () => undefined).end(input);
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${command} ${args.slice(0, 6).join(" ").slice(0, 200)} failed: ${stderr}`));
    });
  });
}

/** A program that stays, and answers each line on its standard input with one on its standard output. */
export interface Dialogue {
  readonly child: ChildProcess;
  ask(line: string): Promise<string>;
}

/** Starts it and waits for its first line. */
export async function converse(command: string, args: readonly string[]): Promise<Dialogue> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${command} ended before it answered`);
    return value;
  };
  await next();
  return {
    child,
    ask: (line) => {
      child.stdin.write(`${line}\n`);
      return next();
    },
  };
}
