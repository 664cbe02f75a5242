import { describe, expect, test } from "vitest";
import { classifyRegistryFailure } from "./image-error.ts";

describe("classifyRegistryFailure()", () => {
  test.each([
    ["reading manifest latest in docker.io/x/y: manifest unknown", "not-found", "ImageNotFound"],
    ["reading manifest 1 in a/b: name unknown: repository name not known to registry", "not-found", "ImageNotFound"],
    [
      "errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required",
      "denied",
      "ImagePullDenied",
    ],
    ["received unexpected HTTP status: StatusCode: 403, Forbidden", "denied", "ImagePullDenied"],
    ["unable to retrieve auth token: invalid username/password: unauthorized", "denied", "ImagePullDenied"],
    ["toomanyrequests: You have reached your pull rate limit", "rate-limited", "ImagePullFailed"],
    ["dial tcp: lookup registry.invalid: no such host", "unreachable", "ImagePullFailed"],
    ["dial tcp 127.0.0.1:1: connect: connection refused", "unreachable", "ImagePullFailed"],
    ["x509: certificate signed by unknown authority", "tls", "ImagePullFailed"],
    ["http: server gave HTTP response to HTTPS client", "tls", "ImagePullFailed"],
    ["dial tcp 192.0.2.1:443: i/o timeout", "timeout", "ImagePullFailed"],
    ["happened during read: Digest did not match, expected sha256:a, got sha256:b", "corrupt", "ImagePullFailed"],
    ["write /x: no space left on device", "disk-full", "ImagePullFailed"],
    ["setpriv: failed to execute skopeo: No such file or directory", "failed", "ImagePullFailed"],
    ["something new", "failed", "ImagePullFailed"],
  ])("reads %j as %s", (stderr, fault, reason) => {
    const error = classifyRegistryFailure("a/b:c", `time="…" level=fatal msg="${stderr}"\n`, undefined);
    expect(error).toMatchObject({ fault, reason });
    expect(error.message).toMatch(/^Image a\/b:c cannot be pulled: [^\n]+\.$/);
  });
});
