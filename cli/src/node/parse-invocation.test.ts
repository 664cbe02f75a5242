import { describe, expect, test } from "vitest";
import { parseInvocation } from "./parse-invocation.ts";

describe("parseInvocation()", () => {
  test.each([
    ["up", { verb: "up", json: false, detach: false, insecure: false, first: true }],
    [
      "up --detach --listen 0.0.0.0 --port=9000 --insecure --no-first --json --home /x",
      { verb: "up", json: true, home: "/x", detach: true, listen: "0.0.0.0", port: 9000, insecure: true, first: false },
    ],
    ["down", { verb: "down", json: false, keepSandboxes: false }],
    ["down --keep-sandboxes", { verb: "down", json: false, keepSandboxes: true }],
    ["status --json", { verb: "status", json: true }],
    ["test", { verb: "test", json: false, quick: false, soak: false, list: false, only: [] }],
    [
      "test --quick --soak --only types --only unit",
      { verb: "test", json: false, quick: true, soak: true, list: false, only: ["types", "unit"] },
    ],
    ["bench", { verb: "bench", json: false, list: false, names: [] }],
    ["bench create idle --json", { verb: "bench", json: true, list: false, names: ["create", "idle"] }],
    ["testbed up", { verb: "testbed", json: false, action: "up" }],
    ["testbed kubeconfig --home /x", { verb: "testbed", json: false, home: "/x", action: "kubeconfig" }],
    ["doctor --port 1", { verb: "doctor", json: false, port: 1 }],
    ["--version", { verb: "version", json: false }],
  ])("reads %j", (line, invocation) => {
    expect(parseInvocation(line.split(" "))).toEqual(invocation);
  });

  test.each([
    ["", 'there is no verb ""; see `atoll help`'],
    ["upp", 'there is no verb "upp"; see `atoll help`'],
    ["constructor", 'there is no verb "constructor"; see `atoll help`'],
    ["up --port 65536", '--port must be a number from 1 to 65535, and is "65536"; see `atoll help up`'],
    ["doctor --port 8x", '--port must be a number from 1 to 65535, and is "8x"; see `atoll help doctor`'],
    ["down now", "unexpected argument 'now'"],
    ["testbed", "testbed takes one of up, down, status, kubeconfig; see `atoll help testbed`"],
    ["testbed up down", "testbed takes one of up, down, status, kubeconfig; see `atoll help testbed`"],
    ["test --only", "option '--only <value>' argument missing; see `atoll help test`"],
    ["up --detach=yes", "option '--detach' does not take an argument; see `atoll help up`"],
    ["status --home=", "--home needs a directory; see `atoll help`"],
  ])("refuses %j with exit code 2 and one sentence", (line, message) => {
    expect(() => parseInvocation(line.split(" "))).toThrow(expect.objectContaining({ exitCode: 2 }));
    expect(() => parseInvocation(line.split(" "))).toThrow(message);
  });
});
