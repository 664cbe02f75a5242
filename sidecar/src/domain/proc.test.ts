import { describe, expect, test } from "vitest";
import {
  differingLimits,
  familyOf,
  isAlive,
  parseGroup,
  parseLimits,
  parseStat,
  parseStatus,
  type ProcessPlace,
} from "./proc.ts";

const STATUS = `Name:\tsleep
State:\tS (sleeping)
Tgid:\t7
PPid:\t0
Uid:\t1000\t1001\t1000\t1000
Gid:\t50\t51\t50\t50
CapInh:\t0000000000000001
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t00000000a80425fb
NoNewPrivs:\t1
Seccomp:\t0
`;

describe("parseStatus()", () => {
  test("reads state, ids and capabilities", () => {
    expect(parseStatus(STATUS)).toEqual({
      state: "S",
      parentPid: 0,
      uid: 1001,
      gid: 51,
      bounding: 0xa80425fbn,
      inheritable: 1n,
      noNewPrivileges: true,
    });
  });

  test("takes a kernel without NoNewPrivs as one where it is off", () => {
    expect(parseStatus(STATUS.replace(/NoNewPrivs.*\n/, ""))?.noNewPrivileges).toBe(false);
  });

  test("is not misled by a name", () => {
    const named = STATUS.replace("sleep", "a\nPPid:\t9\nCapBnd:\tff");
    expect(parseStatus(named)).toEqual(parseStatus(STATUS));
  });

  test("is undefined for a process that went away", () => {
    expect(parseStatus("")).toBeUndefined();
    expect(isAlive(parseStatus(""))).toBe(false);
    expect(isAlive(parseStatus(STATUS.replace("S (sleeping)", "Z (zombie)")))).toBe(false);
    expect(isAlive(parseStatus(STATUS))).toBe(true);
  });
});

function stat(pid: number, parentPid: number, groupId: number, sessionId: number, name = "x"): ProcessPlace {
  const rest = Array.from({ length: 15 }, () => "0").join(" ");
  const place = parseStat(`${pid} (${name}) S ${parentPid} ${groupId} ${sessionId} ${rest} 99${pid} 0 0`);
  if (place === undefined) throw new Error("The sample does not parse");
  return place;
}

test("parseStat() is not misled by a name", () => {
  expect(stat(7, 1, 2, 3, "a) R 9 9 9 (b")).toEqual({
    pid: 7,
    parentPid: 1,
    groupId: 2,
    sessionId: 3,
    startTime: "997",
  });
  expect(parseStat("")).toBeUndefined();
});

test("familyOf() finds session, group and descendants, and nobody else", () => {
  const processes = [
    stat(1, 0, 1, 1),
    stat(10, 1, 10, 10),
    stat(11, 10, 10, 10),
    stat(12, 1, 12, 10, "other group, same session, orphan"),
    stat(13, 11, 13, 13, "own session, parent alive"),
    stat(14, 13, 13, 13),
    stat(15, 1, 15, 15, "left for good"),
    stat(20, 1, 20, 20, "another command"),
  ];
  expect(familyOf(10, processes).map(({ pid }) => pid)).toEqual([10, 11, 12, 13, 14]);
});

test("familyOf() takes nothing for the child of a process that was reaped while it was read, and so has no number", () => {
  const processes = [stat(1, 0, 1, 1), stat(2, 1, 1, 1), stat(0, 0, 10, 10), stat(8, 0, 8, 8), stat(11, 1, 10, 10)];
  expect(familyOf(10, processes).map(({ pid }) => pid)).toEqual([11]);
});

test("differingLimits() gives only what must be set", () => {
  const text = (files: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${files}              4096                 files\nMax core file size        0                    unlimited            bytes\nMax something new         1 2 x\n`;
  const own = parseLimits(text("1024"));
  expect(own).toEqual([
    { resource: 7, soft: 1024n, hard: 4096n },
    { resource: 4, soft: 0n, hard: (1n << 64n) - 1n },
  ]);
  expect(differingLimits(own, own)).toEqual([]);
  expect(differingLimits(parseLimits(text("512")), own)).toEqual([{ resource: 7, soft: 512n, hard: 4096n }]);
});

describe("parseGroup()", () => {
  test.each([
    ["0::/boot-000\n", "/boot-000"],
    ["7:pids:/x\n0::/a/b\n", "/a/b"],
    ["0::/\n", undefined],
    ["0::/../x\n", undefined],
    ["0::/a b\n", undefined],
    ["", undefined],
  ])("reads %j as %j", (text, path) => {
    expect(parseGroup(text)).toBe(path);
  });
});
