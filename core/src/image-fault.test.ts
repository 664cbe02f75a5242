import { describe, expect, it } from "vitest";
import { classifyImageFailure } from "./image-fault.ts";

describe("classifyImageFailure()", () => {
  it.each([
    [
      'failed to pull and unpack image "r:5000/a:1": failed to resolve reference "r:5000/a:1": r:5000/a:1: not found',
      "not-found",
    ],
    [
      'failed to pull and unpack image "docker.io/library/a:1": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed',
      "denied",
    ],
    [
      'failed to resolve reference "r/a:1": unexpected status from HEAD request to https://r/v2/a: 403 Forbidden',
      "denied",
    ],
    [
      'failed to resolve reference "r/a:1": failed to do request: Head "https://r/v2/a": dial tcp: lookup r: no such host',
      "unreachable",
    ],
    ['failed to resolve reference "r/a:1": unexpected status: 429 Too Many Requests', "rate-limited"],
    [
      'failed to pull and unpack image "r/a:1": failed to unpack image on snapshotter overlayfs: content digest sha256:0c18: not found',
      "corrupt",
    ],
    ["failed to extract layer sha256:4d: NotFound: failed to get reader from content store: not found", "corrupt"],
    ['failed to do request: Head "https://r/v2/a": tls: failed to verify certificate: x509: unknown authority', "tls"],
  ])("reads %j as %s", (text, fault) => {
    expect(classifyImageFailure(text)?.fault).toBe(fault);
  });

  it("says nothing about words it does not know", () => {
    expect(classifyImageFailure('Back-off pulling image "r/a:1"')).toBeUndefined();
    expect(classifyImageFailure("")).toBeUndefined();
  });
});
