import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { AgentCreateCommand } from "#api/agent.ts";
import { toBase64Url } from "#core/base64url.ts";
import { CommandId, ContainerName } from "#api/scalars.ts";
import { parseRecord } from "./domain/command-log.ts";
import { isCommandId, isContainerName } from "./domain/names.ts";
import { readCommand } from "./domain/read-command.ts";
import { AgentEnvironment } from "./manifest.ts";
import { readEnvironment } from "./read-environment.ts";

/** The agent reads by hand what others read by schema: these tests hold the two equal. */

const RUNS = { numRuns: 2000 };
const REFUSED = Symbol("refused");

/** A log record as a schema. */
const LogRecord = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("start"), id: CommandId, container: ContainerName, digest: z.string() }),
  z.object({
    kind: z.literal("exit"),
    id: CommandId,
    exitCode: z.int(),
    signal: z.int().nullable(),
    endedBy: z.enum(["timeout", "kill"]).nullable(),
  }),
  z.object({ kind: z.literal("complete"), id: CommandId, streamIndex: z.literal([0, 1]), end: z.int().min(0) }),
  z.object({ kind: z.literal("gone"), id: CommandId }),
]);

const uuid = fc.uuid();
const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,70}[a-z0-9])?$/);
const nearName = fc.oneof(
  uuid,
  label,
  uuid.map((id) => id.toUpperCase()),
  fc.tuple(fc.oneof(uuid, label), fc.constantFrom("\n", " ", "-", ".", "_", "A", "é", "\0")).map(([a, b]) => a + b),
  fc.tuple(fc.constantFrom("\n", "-", ""), label).map(([a, b]) => a + b),
  fc.string(),
);
const oddNumber = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.constantFrom(0, -0, 1, 2 ** 53, -(2 ** 53), Infinity, 0.5),
);
const anyJson = fc.oneof(
  fc.jsonValue(),
  oddNumber,
  nearName,
  fc.constantFrom(null, true, "", [], {}, [""], { a: "b" }),
  // Only a parser makes an own property of this name.
  fc
    .constantFrom('{"__proto__":1}', '{"__proto__":"x","a":"b"}', '{"constructor":"x"}')
    .map((text) => JSON.parse(text)),
);
const key = fc.oneof(
  fc.constantFrom("id", "args", "env", "cwd", "timeoutMs", "kind", "container", "__proto__", "constructor", "toString"),
  fc.string(),
);

/** Values of which some fields are taken away, replaced or added. */
function near(valid: fc.Arbitrary<Record<string, unknown>>): fc.Arbitrary<unknown> {
  const changes = fc.array(fc.tuple(key, fc.option(anyJson, { nil: undefined })), { maxLength: 2 });
  const changed = fc.tuple(valid, fc.nat(), anyJson, changes).map(([value, at, odd, list]) => {
    const entries = Object.entries(value);
    const replaced = entries.map(([name, old], index) => [name, index === at % (entries.length * 2) ? odd : old]);
    const text = [...replaced, ...list].flatMap(([name, next]) =>
      next === undefined ? [] : [`${JSON.stringify(name)}:${JSON.stringify(next)}`],
    );
    return JSON.parse(`{${text.join(",")}}`);
  });
  return fc.oneof(
    { weight: 1, arbitrary: valid },
    { weight: 4, arbitrary: changed },
    { weight: 1, arbitrary: anyJson },
  );
}

const command = fc.record(
  {
    id: uuid,
    args: fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
    env: fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("PATH", "constructor", "toString")), fc.string()),
    cwd: fc.string(),
    timeoutMs: fc.integer({ min: 1 }),
  },
  { requiredKeys: ["id", "args"] },
);
const record = fc.oneof(
  fc.record({ kind: fc.constant("start"), id: uuid, container: label, digest: fc.string() }),
  fc.record({
    kind: fc.constant("exit"),
    id: uuid,
    exitCode: fc.integer(),
    signal: fc.option(fc.integer()),
    endedBy: fc.constantFrom("timeout", "kill", null),
  }),
  fc.record({ kind: fc.constant("complete"), id: uuid, streamIndex: fc.constantFrom(0, 1), end: fc.nat() }),
  fc.record({ kind: fc.constant("gone"), id: uuid }),
);
const variable: Record<keyof AgentEnvironment, fc.Arbitrary<string>> = {
  ATOLL_AGENT_ID: fc.string({ minLength: 1, maxLength: 260 }),
  ATOLL_GATEWAY_PUBLIC_KEY: fc.stringMatching(/^[A-Za-z0-9_-]{42,44}$/),
  ATOLL_AGENT_KEY: fc.oneof(
    { weight: 9, arbitrary: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toBase64Url) },
    { weight: 1, arbitrary: fc.stringMatching(/^[A-Za-z0-9_-]{42,44}$/) },
  ),
  ATOLL_AGENT_LISTEN: fc.oneof(
    fc.string().map((path) => `unix:/${path}`),
    fc
      .tuple(fc.oneof(fc.domain(), fc.ipV6(), fc.string()), fc.integer({ min: 0, max: 200_000 }))
      .map(([host, port]) => `${host}:${port}`),
  ),
  ATOLL_JOURNAL_DIR: fc.string().map((path) => `/${path}`),
  ATOLL_JOURNAL_BUDGET_BYTES: countText(1 << 20, Number.MAX_SAFE_INTEGER),
  ATOLL_MAX_COMMANDS: countText(1, 65_536),
  ATOLL_PIDS_LIMIT: countText(0, 4_000_000),
  ATOLL_MAX_STREAMS: countText(1, 4096),
  ATOLL_AGENT_LIBRARY: fc.string().map((path) => `/${path}`),
  ATOLL_LOG_LEVEL: fc.constantFrom("debug", "info", "warn", "error"),
};
const NAMES = Object.keys(variable) as (keyof AgentEnvironment)[];

function countText(least: number, most: number): fc.Arbitrary<string> {
  const near = [least - 1, least, most, most + 1, least + 0.5].map(String);
  return fc.oneof(
    fc.integer({ min: least, max: most }).map(String),
    fc.constantFrom(...near, "", " ", " 5 ", "1e3", "0x10", "-0", "+7", "1_000", "NaN", "Infinity", "5;"),
  );
}

describe("readCommand()", () => {
  test("takes, refuses and gives what the schema does", () => {
    let taken = 0;
    const check = (input: unknown): void => {
      const wanted = AgentCreateCommand.safeParse(input);
      const reading = readCommand(input);
      expect(reading.kind === "command" ? reading.command : REFUSED).toEqual(wanted.success ? wanted.data : REFUSED);
      taken += wanted.success ? 1 : 0;
    };
    fc.assert(fc.property(near(command), check), RUNS);
    expect(taken).toBeGreaterThan(RUNS.numRuns / 10);
    expect(taken).toBeLessThan((RUNS.numRuns * 9) / 10);
  });

  test("says of each fault where it is and what would be right", () => {
    const faults = (input: unknown) => {
      const reading = readCommand(input);
      return reading.kind === "faults" ? reading.faults.map(({ location, message }) => `${location}: ${message}`) : [];
    };
    expect(faults({ id: "x", args: ["a", 1], env: { A: 2 }, cwd: 3, timeoutMs: 0, more: 1 })).toEqual([
      "more: is not a field of a command",
      "id: must be a lower-case UUID",
      "args.1: must be a string",
      "env.A: must be a string",
      "cwd: must be a string",
      "timeoutMs: must be a whole number from 1",
    ]);
    expect(faults(null)).toEqual([": must be an object"]);
    expect(faults({ args: Array.from({ length: 100 }, () => 1) })).toHaveLength(16);
  });
});

test("isCommandId() and isContainerName() take what the schemas take", () => {
  fc.assert(
    fc.property(fc.oneof(nearName, anyJson), (value) => {
      expect(isCommandId(value)).toBe(CommandId.safeParse(value).success);
      expect(isContainerName(value)).toBe(ContainerName.safeParse(value).success);
    }),
    RUNS,
  );
});

test("parseRecord() takes, refuses and gives what a schema would", () => {
  let taken = 0;
  fc.assert(
    fc.property(near(record), (value) => {
      const line = JSON.stringify(value);
      const wanted = LogRecord.safeParse(JSON.parse(line));
      expect(parseRecord(line)).toEqual(wanted.success ? wanted.data : undefined);
      taken += wanted.success ? 1 : 0;
    }),
    RUNS,
  );
  expect(taken).toBeGreaterThan(RUNS.numRuns / 10);
});

describe("readEnvironment()", () => {
  const read = (variables: Record<string, string>): unknown => {
    try {
      return readEnvironment(variables);
    } catch {
      return REFUSED;
    }
  };
  const right = fc.record(variable);

  test("takes, refuses and gives what the schema does", () => {
    let taken = 0;
    const odd = fc.tuple(fc.constantFrom(...NAMES), fc.oneof(fc.string(), countText(0, 10)));
    const variables = fc
      .tuple(right, fc.subarray(NAMES), fc.option(odd, { freq: 4 }))
      .map(([all, left, change]): Record<string, string> => {
        const kept = Object.entries(all).filter(
          ([name]) => !left.includes(name as keyof AgentEnvironment) || name < "ATOLL_J",
        );
        return { ...Object.fromEntries(kept), ...(change === null ? {} : { [change[0]]: change[1] }), PATH: "/bin" };
      });
    fc.assert(
      fc.property(variables, (input) => {
        const wanted = AgentEnvironment.safeParse(input);
        expect(read(input)).toEqual(wanted.success ? wanted.data : REFUSED);
        taken += wanted.success ? 1 : 0;
      }),
      RUNS,
    );
    expect(taken).toBeGreaterThan(RUNS.numRuns / 100);
  });

  test("names all faults in one message", () => {
    const variables = { ATOLL_AGENT_ID: "", ATOLL_MAX_STREAMS: "0", ATOLL_AGENT_LISTEN: "80" };
    expect(() => readEnvironment(variables)).toThrow(
      /ATOLL_AGENT_ID must be 1 to 253 characters; ATOLL_GATEWAY_PUBLIC_KEY must be .*; ATOLL_AGENT_LISTEN must be .*; ATOLL_MAX_STREAMS must be a whole number from 1 to 4096$/,
    );
  });
});
