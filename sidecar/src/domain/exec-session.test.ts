import { describe, expect, test } from "vitest";
import { AgentCommand } from "#api/agent.ts";
import { replayLog, compactLog } from "./command-log.ts";
import { createSession, endSession, readWaitStatus, restoreSession, toAgentCommand, toLogged } from "./exec-session.ts";

const START = { id: "11111111-1111-4111-8111-111111111111", container: "main", digest: "d" };

test.each([
  [0, 0, null],
  [3 << 8, 3, null],
  [255 << 8, 255, null],
  [9, -1, 9],
  [11 | 0x80, -1, 11],
  [-1, -1, null],
])("readWaitStatus(%i) is exit code %i, signal %j", (status, exitCode, signal) => {
  expect(readWaitStatus(status)).toEqual({ exitCode, signal });
});

describe("endSession()", () => {
  test("keeps who ended it when a signal did", () => {
    const session = createSession(START);
    session.endedBy = "timeout";
    endSession(session, 9, 1);
    expect(toAgentCommand(session)).toMatchObject({ state: "exited", exitCode: -1, signal: 9, endedBy: "timeout" });
  });

  test("drops a kill that came after the exit", () => {
    const session = createSession(START);
    session.endedBy = "kill";
    endSession(session, 0, 1);
    expect(session.endedBy).toBeNull();
  });
});

describe("restoreSession()", () => {
  test("knows an exit and complete streams as before", () => {
    const session = createSession(START);
    endSession(session, 7 << 8, 1);
    Object.assign(session.streams[0], { end: 10, limit: 10, complete: true });
    Object.assign(session.streams[1], { complete: true });
    const logged = replayLog(compactLog([toLogged(session)])).get(START.id);
    if (logged === undefined) throw new Error("The record is missing");
    const restored = toAgentCommand(restoreSession(logged, [{ first: 0, end: 10 }, undefined], 1));
    expect(restored).toEqual(toAgentCommand(session));
    expect(AgentCommand.parse(restored)).toEqual(restored);
  });

  test("says unknown and lost for what ran", () => {
    const restored = restoreSession(toLogged(createSession(START)), [{ first: 64, end: 100 }, undefined], 1);
    expect(toAgentCommand(restored)).toMatchObject({
      state: "unknown",
      exitCode: null,
      stdout: { first: 64, end: 100, complete: false },
    });
    expect(restored.streams.map(({ lost }) => lost)).toEqual([true, true]);
  });

  test("says that dropped output of a complete stream is gone", () => {
    const logged = { ...toLogged(createSession(START)), completeAt: [50, 0] as [number, number] };
    expect(restoreSession(logged, [undefined, undefined], 1).streams[0]).toMatchObject({
      first: 50,
      end: 50,
      complete: true,
    });
  });
});
