import { createPipe } from "./pipe.ts";
import { runProgram, type Output, type ProcessContext, type Program } from "./program.ts";
import { parseScript, type Redirect, type ShellCommand } from "./shell-words.ts";

/** `sh -c SCRIPT [NAME ARG…]`; 2 for a script that the small shell does not read. */
export const shell: Program = async (context) => {
  const [, option, script = ""] = context.args;
  if (option !== "-c") return runLines(context);
  let status = 0;
  const expand = (name: string): string => expandName(context, name, status);
  try {
    const next = parseScript(script, expand);
    for (let command = next(); command !== undefined; command = next()) {
      if (command.when === "success" && status !== 0) continue;
      if (command.when === "failure" && status === 0) continue;
      const [name, value = "0"] = command.words;
      if (name === "exit") return Number(value) & 255;
      if (name === "kill" && command.words.includes("$$")) return -1;
      status = await runCommand(context, command);
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    await context.err(new TextEncoder().encode(`sh: ${error.message}\n`));
    return 2;
  }
  return status;
};

/** An interactive shell without a terminal: each line of standard input is a script. */
async function runLines(context: ProcessContext): Promise<number> {
  let text = "";
  for (let bytes = await context.stdin.read(context.signal); bytes; bytes = await context.stdin.read(context.signal)) {
    text += new TextDecoder().decode(bytes);
  }
  return shell({ ...context, args: ["sh", "-c", text] });
}

function expandName(context: ProcessContext, name: string, status: number): string {
  if (name === "?") return `${status}`;
  if (name === "$") return "$$";
  if (/^\d+$/.test(name)) return context.args[Number(name) + 3] ?? "";
  return context.env.get(name) ?? "";
}

async function runCommand(context: ProcessContext, command: ShellCommand): Promise<number> {
  const child = redirected({ ...context, args: command.words }, command.redirects);
  if (!command.background) return runProgram(child);
  void runProgram({ ...child, stdin: closedPipe() }).catch(() => undefined);
  return 0;
}

function redirected(context: ProcessContext, [first, ...rest]: readonly Redirect[]): ProcessContext {
  if (first === undefined) return context;
  if (first.mode === "read") return redirected({ ...context, stdin: filePipe(context, first.to) }, rest);
  const output = outputOf(context, first);
  return redirected(first.source === 2 ? { ...context, err: output } : { ...context, out: output }, rest);
}

function outputOf(context: ProcessContext, redirect: Redirect): Output {
  if (redirect.mode === "duplicate") return redirect.to === "2" ? context.err : context.out;
  return fileOutput(context, redirect);
}

function fileOutput({ files, cwd }: ProcessContext, { to, mode }: Redirect): Output {
  if (mode === "write") files.write(files.resolve(to, cwd), new Uint8Array(0));
  return async (bytes) => files.append(files.resolve(to, cwd), bytes);
}

function filePipe({ files, cwd, signal }: ProcessContext, path: string) {
  const pipe = createPipe();
  void pipe.write(files.read(files.resolve(path, cwd)), signal);
  pipe.close();
  return pipe;
}

function closedPipe() {
  const pipe = createPipe();
  pipe.close();
  return pipe;
}
