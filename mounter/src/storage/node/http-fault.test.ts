import { describe, expect, test } from "vitest";
import { codeOf, kindOfFault, storeFault } from "./http-fault.ts";

describe("kindOfFault()", () => {
  test.each([
    [{ status: 404, code: "NoSuchKey" }, "absent"],
    [{ status: 404, code: "NoSuchBucket" }, "invalid"],
    [{ status: 404, code: "ContainerNotFound" }, "invalid"],
    [{ status: 403, code: "AccessDenied" }, "denied"],
    [{ status: 403, code: "RequestTimeTooSkewed" }, "unavailable"],
    [{ status: 400, code: "ExpiredToken" }, "denied"],
    [{ code: "CredentialsProviderError" }, "denied"],
    [{ status: 412 }, "changed"],
    [{ status: 409, code: "BlobAlreadyExists" }, "changed"],
    [{ status: 409, code: "ConditionalRequestConflict" }, "unavailable"],
    [{ status: 400, code: "XAmzContentSHA256Mismatch" }, "unavailable"],
    [{ status: 416 }, "invalid"],
    [{ status: 400 }, "invalid"],
    [{ status: 501 }, "invalid"],
    [{ status: 507 }, "full"],
    [{ status: 403, code: "QuotaExceeded" }, "full"],
    [{ status: 507, code: "XMinioStorageFull" }, "full"],
    [{ status: 429 }, "unavailable"],
    [{ status: 503, code: "SlowDown" }, "unavailable"],
    [{ status: 200, code: "InternalError" }, "unavailable"],
    [{ code: "ECONNRESET" }, "unavailable"],
    [{ code: "CERT_HAS_EXPIRED" }, "invalid"],
    [{}, "unavailable"],
  ] as const)("of %j is %s", (fault, kind) => {
    expect(kindOfFault(fault)).toBe(kind);
  });
});

describe("storeFault()", () => {
  test("is one sentence, and passes on how long to wait", () => {
    const error = storeFault("Cannot read a of s3://b", { status: 503, code: "SlowDown", retryAfter: "7" });
    expect(error).toMatchObject({ kind: "unavailable", retryAfterMs: 7000 });
    expect(error.message).toBe("Cannot read a of s3://b: the store did not answer as it should (SlowDown, 503).");
    expect(storeFault("x", { status: 503, retryAfter: "Wed, 21 Oct 2026 07:28:00 GMT" }).retryAfterMs).toBeUndefined();
  });
});

describe("codeOf()", () => {
  test("looks for the system's word in causes, and takes no other text", () => {
    expect(codeOf(new Error("a", { cause: Object.assign(new Error("b"), { code: "EPIPE" }) }))).toBe("EPIPE");
    expect(codeOf(Object.assign(new Error("a"), { code: "https://x?sig=1" }))).toBeUndefined();
    expect(codeOf("text")).toBeUndefined();
  });
});
