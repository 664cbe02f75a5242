import { expect, test } from "vitest";
import { programCandidates, shellFallback } from "./candidates.ts";

test.each([
  ["ls", "/usr/bin:/bin", ["/usr/bin/ls", "/bin/ls"]],
  ["ls", ":/bin:", ["./ls", "/bin/ls", "./ls"]],
  ["ls", "", []],
  ["ls", undefined, []],
  ["/bin/ls", undefined, ["/bin/ls"]],
  ["./x", "/bin", ["./x"]],
  ["", "/bin", []],
])("programCandidates(%j) with PATH %j", (program, path, candidates) => {
  expect(programCandidates(program, path)).toEqual(candidates);
});

test("shellFallback() hands the arguments on unquoted and unread", () => {
  expect(shellFallback(["a b", "$x"])).toEqual(["/bin/sh", "-c", 'exec "$@"', "sh", "a b", "$x"]);
});
