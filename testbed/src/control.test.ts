import { describe, expect, test } from "vitest";
import { answerControl } from "./control.ts";
import type { Supervisor } from "./supervisor.ts";

const asked: string[] = [];
const supervisor: Supervisor = {
  run: async () => undefined,
  status: async () => [{ name: "a", state: "running", pid: 7, restarts: 0, healthy: true }],
  kill: (name, signal) => (asked.push(`${signal} ${name}`), name === "a"),
  stop: async (name) => (asked.push(`stop ${name}`), name === "a"),
  start: (name) => (asked.push(`start ${name}`), name === "a"),
};

const answer = (line: string): Promise<Response> => {
  const [method = "", url = ""] = line.split(" ");
  return answerControl({ method, url }, supervisor);
};

describe("answerControl()", () => {
  test("lists the components", async () => {
    expect(await (await answer("GET /components")).json()).toEqual(await supervisor.status());
  });

  test.each([
    ["POST /components/a/start", "start a"],
    ["POST /components/a/stop", "stop a"],
    ["POST /components/a/kill", "SIGKILL a"],
    ["POST /components/a/kill?signal=SIGSTOP", "SIGSTOP a"],
  ])("%s is done", async (line, done) => {
    expect((await answer(line)).status).toBe(204);
    expect(asked.at(-1)).toBe(done);
  });

  test.each([
    ["GET /", 404, "there is nothing at /"],
    ["GET /components/a", 405, "components take POST to one of their actions"],
    ["POST /components/z/stop", 404, 'there is no component "z" that runs'],
    ["POST /components/a/kill?signal=SIGSEGV", 400, "the signal must be one of"],
    ["POST /components/a/restart", 400, 'a component can be started, stopped and killed, not "restart"'],
    ["POST /components/a", 400, 'a component can be started, stopped and killed, not ""'],
  ])("%s is refused with %i", async (line, status, message) => {
    const response = await answer(line);
    expect([response.status, ((await response.json()) as { message: string }).message]).toEqual([
      status,
      expect.stringContaining(message),
    ]);
  });
});
