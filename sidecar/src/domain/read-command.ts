import type { AgentCreateCommand } from "#api/agent.ts";
import type { ProblemFault } from "#api/problem.ts";
import { isObject, isWhole } from "./json.ts";
import { isCommandId } from "./names.ts";

/** Most faults that are told of one request. */
const MOST_FAULTS = 16;

/** What a request's body says, or where it is wrong. */
export type CommandReading =
  | { readonly kind: "command"; readonly command: AgentCreateCommand }
  | { readonly kind: "faults"; readonly faults: ProblemFault[] };

const FIELDS: Readonly<Record<keyof AgentCreateCommand, (value: unknown) => ProblemFault[]>> = {
  id: (id) => (isCommandId(id) ? [] : [fault("must be a lower-case UUID", "id")]),
  args: argumentFaults,
  env: environmentFaults,
  cwd: (cwd) => (cwd === undefined || typeof cwd === "string" ? [] : [fault("must be a string", "cwd")]),
  timeoutMs: (ms) => (ms === undefined || isWhole(ms, 1) ? [] : [fault("must be a whole number from 1", "timeoutMs")]),
};

/**
 * Reads parsed JSON as the schema `AgentCreateCommand` does. By hand, because building schemas
 * would cost the agent a third of its start-up; a property test holds the two equal.
 */
export function readCommand(input: unknown): CommandReading {
  if (!isObject(input)) return { kind: "faults", faults: [fault("must be an object", "")] };
  const unknown = Object.keys(input).filter((key) => !Object.hasOwn(FIELDS, key));
  const faults = [
    ...unknown.map((key) => fault("is not a field of a command", key)),
    ...Object.entries(FIELDS).flatMap(([key, check]) => check(own(input, key))),
  ];
  if (faults.length > 0) return { kind: "faults", faults: faults.slice(0, MOST_FAULTS) };
  const { env, ...rest } = input as AgentCreateCommand;
  return { kind: "command", command: env === undefined ? rest : { ...rest, env: withoutPrototype(env) } };
}

function argumentFaults(args: unknown): ProblemFault[] {
  if (!Array.isArray(args) || args.length === 0) return [fault("must be a list of at least one string", "args")];
  return args.flatMap((arg: unknown, index) =>
    typeof arg === "string" ? [] : [fault("must be a string", `args.${index}`)],
  );
}

function environmentFaults(env: unknown): ProblemFault[] {
  if (env === undefined) return [];
  if (!isObject(env)) return [fault("must be an object of strings", "env")];
  return Object.entries(withoutPrototype(env)).flatMap(([key, value]) =>
    typeof value === "string" ? [] : [fault("must be a string", `env.${key}`)],
  );
}

/** No variable is called `__proto__`: the name would not survive being a key of an object everywhere. */
function withoutPrototype<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => key !== "__proto__"));
}

function own(record: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function fault(message: string, location: string): ProblemFault {
  return { message, location };
}
