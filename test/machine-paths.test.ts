import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** What only makes sense on the machine where it was written. */
const FORBIDDEN: readonly (readonly [name: string, pattern: RegExp])[] = [
  // Nodes of one cloud keep their programs in a folder that looks like one.
  ["a home directory", /\/(?:home|Users)\/(?!kubernetes\/bin)[a-z][\w-]*\//i],
  ["a workplace directory", /(?<![\w.~*}-])\/(?:work|builds|github|workspaces)\/[a-z.]?[a-z][\w.-]*\//i],
  ["a scratch laboratory", /\/tmp\/lab\b/],
  ["a private package registry", /\b(?:artifactory|nexus|verdaccio|jfrog|devpi)\b[\w.-]*\//i],
  ["a package fetched from a fixed address", /"resolved": "(?!https:\/\/registry\.npmjs\.org\/)/],
  ["the checkout's own path", literal(`${root}/`)],
  ["this machine's name", literal(`//${hostname()}`)],
];

/** This file states the patterns; a foreign text is quoted as it is. */
const EXEMPT = new Set(["test/machine-paths.test.ts", "LICENSE"]);

function literal(text: string): RegExp {
  return new RegExp(text.replaceAll(/[^\w/]/g, String.raw`\$&`));
}

function faultsOf(text: string): string[] {
  return FORBIDDEN.filter(([, pattern]) => pattern.test(text)).map(([name]) => name);
}

describe("machine paths", () => {
  test.each([
    ["see /home/ada/atoll/x.ts", "a home directory"],
    ["cd /work/atoll/cli", "a workplace directory"],
    ["python /tmp/lab/t.py", "a scratch laboratory"],
    ["https://npm.example.com/artifactory/npm/", "a private package registry"],
    ['"resolved": "https://mirror.example.com/a.tgz"', "a package fetched from a fixed address"],
    [`import "${root}/core/src/log.ts"`, "the checkout's own path"],
  ])("%s is reported", (text, name) => {
    expect(faultsOf(text)).toContain(name);
  });

  test.each([
    "/tmp/atoll/x",
    "~/work/notes",
    "import '../work/x.ts'",
    "/var/lib/atoll/run",
    "cd /work && ls /work/out",
    "/home/kubernetes/bin/runsc",
  ])("%s is no fault", (text) => {
    expect(faultsOf(text)).toEqual([]);
  });

  test("are in no tracked file", () => {
    const listed = execFileSync("git", ["-c", `safe.directory=${root}`, "ls-files", "-z"], { cwd: root });
    const files = listed
      .toString()
      .split("\0")
      .filter((file) => file !== "" && !EXEMPT.has(file));
    expect(files.length).toBeGreaterThan(50);
    const faults = files.map((file) => [file, faultsOf(read(file))] as const);
    expect(faults.filter(([, names]) => names.length > 0)).toEqual([]);
  });
});

/** A tracked file that is removed but not committed yet has no text. */
function read(file: string): string {
  try {
    return readFileSync(join(root, file), "latin1");
  } catch {
    return "";
  }
}
