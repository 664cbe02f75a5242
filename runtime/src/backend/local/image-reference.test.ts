import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatImageReference, isBaseImage, parseImageReference } from "./image-reference.ts";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

describe("parseImageReference()", () => {
  test.each([
    ["python", "docker.io/library/python:latest"],
    ["python:3.13-slim", "docker.io/library/python:3.13-slim"],
    ["user/app", "docker.io/user/app:latest"],
    ["docker.io/python", "docker.io/library/python:latest"],
    ["index.docker.io/user/app:1", "docker.io/user/app:1"],
    ["Ghcr.IO/owner/app", "ghcr.io/owner/app:latest"],
    ["localhost/app", "localhost/app:latest"],
    ["localhost:5000/app:2", "localhost:5000/app:2"],
    ["[::1]:5000/a/b", "[::1]:5000/a/b:latest"],
    ["10.0.0.1/a", "10.0.0.1/a:latest"],
    [`python@${DIGEST}`, `docker.io/library/python@${DIGEST}`],
    [`python:3.13@${DIGEST}`, `docker.io/library/python@${DIGEST}`],
    ["a.b/c__d/e-f--g.h:T_.-", "a.b/c__d/e-f--g.h:T_.-"],
  ])("reads %s as %s", (text, full) => {
    expect(formatImageReference(parseImageReference(text))).toBe(full);
  });

  test.each([
    "",
    ":",
    "@",
    "/",
    "a/",
    "/a",
    "a//b",
    "A",
    "User/app",
    "a:",
    "a:-b",
    `a:${"t".repeat(129)}`,
    "a@sha256:0",
    `a@sha512:${"0".repeat(128)}`,
    `a@${DIGEST.toUpperCase()}`,
    "a b",
    "a\n",
    "a\0b",
    "-flag",
    "--flag/a",
    "a..b/c",
    "a.b:99999999/c",
    "host:port/a",
    "_a",
    "a_",
    "a___b",
    "a@b@c",
    "ä",
    "a/../b",
    "x".repeat(1025),
    "https://a.b/c",
    `${"a/".repeat(127)}aa`,
  ])("refuses %j", (text) => {
    expect(() => parseImageReference(text)).toThrow(expect.objectContaining({ slug: "bad-request" }));
  });

  test("its full spelling reads back as itself, and never starts like an option", () => {
    const piece = fc.stringMatching(/^[a-zA-Z0-9._\-:/@[\]]{1,40}$/);
    const text = fc.oneof(
      piece,
      fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join("/")),
    );
    fc.assert(
      fc.property(text, (candidate) => {
        let full: string;
        try {
          full = formatImageReference(parseImageReference(candidate));
        } catch {
          return;
        }
        expect(formatImageReference(parseImageReference(full))).toBe(full);
        expect(full).toMatch(/^[a-z0-9[]/);
      }),
    );
  });

  test("answers long hostile text at once", () => {
    for (const text of ["a-".repeat(500), "a__".repeat(330), `${"a.".repeat(500)}!/b`, "-".repeat(1000)]) {
      expect(() => parseImageReference(text)).toThrow();
    }
  });
});

describe("isBaseImage()", () => {
  test("knows the built image under every spelling, and no other registry's", () => {
    for (const text of [
      "atoll/debian",
      "atoll/debian:13",
      "docker.io/atoll/debian",
      `index.docker.io/atoll/debian@${DIGEST}`,
    ]) {
      expect(isBaseImage(parseImageReference(text))).toBe(true);
    }
    for (const text of ["debian", "atoll/debian2", "ghcr.io/atoll/debian", "x/atoll/debian"]) {
      expect(isBaseImage(parseImageReference(text))).toBe(false);
    }
  });
});
