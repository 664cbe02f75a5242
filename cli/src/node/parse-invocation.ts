import { parseArgs, type ParseArgsConfig } from "node:util";
import { EXIT, Fault } from "../fault.ts";
import { TESTBED_ACTIONS, type Common, type Invocation } from "../invocation.ts";

type OptionSpecs = NonNullable<ParseArgsConfig["options"]>;

const COMMON = { home: { type: "string" }, json: { type: "boolean" } } as const;

/** Options of each verb; the help pages name the same ones. */
export const OPTIONS = {
  up: {
    ...COMMON,
    detach: { type: "boolean" },
    listen: { type: "string" },
    port: { type: "string" },
    insecure: { type: "boolean" },
    "no-first": { type: "boolean" },
  },
  down: { ...COMMON, "keep-sandboxes": { type: "boolean" } },
  status: COMMON,
  test: {
    ...COMMON,
    quick: { type: "boolean" },
    soak: { type: "boolean" },
    list: { type: "boolean" },
    only: { type: "string", multiple: true },
  },
  bench: { ...COMMON, list: { type: "boolean" } },
  testbed: COMMON,
  doctor: { ...COMMON, port: { type: "string" } },
  version: COMMON,
} as const satisfies Record<Invocation["verb"], OptionSpecs>;

/** Reads the words after `atoll`; throws a Fault with the usage exit code. */
export function parseInvocation(words: readonly string[]): Invocation {
  const [verb = "", ...rest] = words[0] === "--version" ? ["version"] : words;
  switch (verb) {
    case "up": {
      const values = read("up", rest);
      return {
        verb,
        ...common(values),
        detach: values.detach ?? false,
        ...(values.listen === undefined ? {} : { listen: values.listen }),
        ...port(values.port, "up"),
        insecure: values.insecure ?? false,
        first: !values["no-first"],
      };
    }
    case "down": {
      const values = read("down", rest);
      return { verb, ...common(values), keepSandboxes: values["keep-sandboxes"] ?? false };
    }
    case "test": {
      const { quick = false, soak = false, list = false, only = [], ...values } = read("test", rest);
      return { verb, ...common(values), quick, soak, list, only };
    }
    case "bench": {
      const { values, positionals } = readAll("bench", rest, true);
      return { verb, ...common(values), list: values.list ?? false, names: positionals };
    }
    case "testbed": {
      const { values, positionals } = readAll("testbed", rest, true);
      const action = TESTBED_ACTIONS.find((known) => known === positionals[0]);
      if (action === undefined || positionals.length !== 1)
        throw usage(`testbed takes one of ${TESTBED_ACTIONS.join(", ")}`, verb);
      return { verb, ...common(values), action };
    }
    case "doctor": {
      const values = read("doctor", rest);
      return { verb, ...common(values), ...port(values.port, "doctor") };
    }
    case "status":
    case "version":
      return { verb, ...common(read(verb, rest)) };
    default:
      throw usage(`there is no verb "${verb}"`, "");
  }
}

function read<V extends keyof typeof OPTIONS>(verb: V, words: readonly string[]) {
  return readAll(verb, words, false).values;
}

function readAll<V extends keyof typeof OPTIONS>(verb: V, words: readonly string[], allowPositionals: boolean) {
  try {
    return parseArgs({ args: [...words], options: OPTIONS[verb], allowPositionals, strict: true });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw usage(lowerFirst(text.split(". ")[0] ?? text), verb);
  }
}

function common(values: { home?: string | undefined; json?: boolean | undefined }): Common {
  const json = values.json ?? false;
  if (values.home === undefined) return { json };
  if (values.home === "") throw usage("--home needs a directory", "");
  return { json, home: values.home };
}

function port(text: string | undefined, verb: string): { port?: number } {
  if (text === undefined) return {};
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > 65_535) throw usage(`--port must be a number from 1 to 65535, and is "${text}"`, verb);
  return { port: value };
}

function usage(message: string, verb: string): Fault {
  return new Fault(`${message}; see \`atoll help${verb === "" ? "" : ` ${verb}`}\``, { exitCode: EXIT.usage });
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
