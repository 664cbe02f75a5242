import type { AgentFaults, ProcessContext, Program, Programs } from "./program.ts";
import { shell } from "./shell.ts";

const BLOCK_BYTES = 65_536;
const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const print = async ({ out }: ProcessContext, text: string): Promise<number> => {
  await out(encode(text));
  return 0;
};

/** Programs of the simulated container: enough to show every behaviour of the agent's protocol. */
export const PROGRAMS: Programs = new Map<string, Program>([
  ["sh", shell],
  [":", async () => 0],
  ["true", async () => 0],
  ["false", async () => 1],
  ["exit", async ({ args }) => Number(args[1] ?? 0) & 255],
  ["pwd", (context) => print(context, `${context.cwd}\n`)],
  ["id", (context) => print(context, "0\n")],
  [
    "echo",
    (context) =>
      print(
        context,
        context.args[1] === "-n" ? context.args.slice(2).join(" ") : `${context.args.slice(1).join(" ")}\n`,
      ),
  ],
  ["printf", (context) => printf(context)],
  ["env", (context) => print(context, [...context.env].map(([name, value]) => `${name}=${value}\n`).join(""))],
  ["printenv", printenv],
  ["cat", cat],
  ["head", head],
  ["seq", seq],
  ["yes", yes],
  ["sleep", sleep],
  ["test", test],
  ["restart-agent", fault((agent) => agent.restart())],
  ["cut-streams", fault((agent) => agent.cutStreams())],
]);

async function printf({ args, out }: ProcessContext): Promise<number> {
  const [, format = "", ...values] = args;
  const text = unescape(format).replace(/%([sd%])/g, (_, kind: string) =>
    kind === "%" ? "%" : (values.shift() ?? ""),
  );
  await out(Uint8Array.from(text, (character) => character.charCodeAt(0)));
  return 0;
}

/** Escapes of printf as bytes, one character each. */
function unescape(format: string): string {
  const bytes = String.fromCharCode(...encode(format));
  return bytes.replace(/\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))/gs, (_, hex, octal, letter) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 255);
    return ({ n: "\n", r: "\r", t: "\t" } as Record<string, string>)[letter] ?? letter;
  });
}

async function printenv(context: ProcessContext): Promise<number> {
  const value = context.env.get(context.args[1] ?? "");
  return value === undefined ? 1 : print(context, `${value}\n`);
}

async function cat(context: ProcessContext): Promise<number> {
  const { args, files, cwd, out, err, stdin, signal } = context;
  for (const name of args.slice(1)) {
    const path = files.resolve(name, cwd);
    if (!files.exists(path)) {
      await err(encode(`cat: ${name}: No such file or directory\n`));
      return 1;
    }
    await out(files.read(path));
  }
  if (args.length > 1) return 0;
  for (let bytes = await stdin.read(signal); bytes !== undefined; bytes = await stdin.read(signal)) await out(bytes);
  return 0;
}

/** `head -c N /dev/zero`: so many zero bytes. */
async function head({ args, out }: ProcessContext): Promise<number> {
  for (let left = Number(args[2] ?? 0); left > 0; left -= BLOCK_BYTES)
    await out(new Uint8Array(Math.min(left, BLOCK_BYTES)));
  return 0;
}

async function seq({ args, out }: ProcessContext): Promise<number> {
  const [first, last] = args.length > 2 ? [Number(args[1]), Number(args[2])] : [1, Number(args[1])];
  let text = "";
  for (let n = first; n <= last; n += 1) {
    text += `${n}\n`;
    if (text.length < BLOCK_BYTES && n < last) continue;
    await out(encode(text));
    text = "";
  }
  return 0;
}

async function yes({ args, out, signal }: ProcessContext): Promise<number> {
  const line = `${args[1] ?? "y"}\n`;
  const block = encode(line.repeat(Math.ceil(BLOCK_BYTES / line.length)));
  while (!signal.aborted) {
    await out(block);
    await new Promise((resolve) => setTimeout(resolve));
  }
  return -1;
}

async function sleep({ args, clock, signal }: ProcessContext): Promise<number> {
  const seconds = args[1] === "infinity" ? 1e6 : Number(args[1] ?? 0);
  await clock.sleep(Math.min(seconds, 1e6) * 1000, signal);
  return 0;
}

function fault(act: (agent: AgentFaults) => void): Program {
  return async ({ agent }) => {
    act(agent);
    return 0;
  };
}

async function test({ args, files, cwd }: ProcessContext): Promise<number> {
  return files.exists(files.resolve(args[2] ?? "", cwd)) ? 0 : 1;
}
