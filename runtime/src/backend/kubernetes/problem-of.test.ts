import { describe, expect, it } from "vitest";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import type { ProblemError } from "#core/problem-error.ts";
import { isOutcomeUnknown, problemOf } from "./problem-of.ts";

const problem = (error: KubeError, mayRepeat = false): ProblemError => problemOf(error, { mayRepeat }) as ProblemError;

describe("problemOf()", () => {
  it.each([
    { status: 400, slug: "bad-request" },
    { status: 401, slug: "unavailable" },
    { status: 403, slug: "not-permitted" },
    { status: 409, slug: "conflict" },
    { status: 422, slug: "validation-failed" },
    { status: 429, slug: "too-many-requests" },
  ])("keeps what $status means: $slug", ({ status, slug }) => {
    expect(problem(new KubeError(status, "exceeded quota")).slug).toBe(slug);
    expect(isOutcomeUnknown(new KubeError(status, ""))).toBe(false);
  });

  it("does not lay at the caller's door that the gateway's own account is refused", () => {
    const subject = 'sandboxes.sandbox.isola.run "x" is forbidden';
    const account = `${subject}: User "system:serviceaccount:a:b" cannot create resource "sandboxes" in API group "x"`;
    expect(problem(new KubeError(403, account, { reason: "Forbidden" })).slug).toBe("unavailable");
    const policy = `${subject}: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: User "a" cannot do this`;
    expect(problem(new KubeError(403, policy, { reason: "Forbidden" })).slug).toBe("not-permitted");
  });

  it("keeps the message, and when to come back", () => {
    const refused = problem(new KubeError(429, "too many\nrequests", { retryAfterSeconds: 7 }));
    expect([refused.message, refused.options.retryAfterSeconds]).toEqual(["too many requests", 7]);
  });

  it("names faults where the caller wrote them", () => {
    const causes = [
      { field: "spec.podTemplate.spec.containers[0].name", message: "the name is reserved" },
      { field: "spec.timeoutSeconds", reason: "FieldValueInvalid" },
    ];
    expect(problem(new KubeError(422, "invalid", { causes })).options.errors).toEqual([
      { location: "body.podTemplate.containers[0].name", message: "the name is reserved" },
      { location: "body.timeoutSeconds", message: "FieldValueInvalid" },
    ]);
  });

  it.each([
    { status: 500, reason: "InternalError" },
    { status: 504, reason: "Timeout" },
    { status: 0, reason: "NoAnswer" },
    { status: 0, reason: "Timeout" },
    { status: 0, reason: "BadAnswer" },
  ])("never lets a client repeat what may have been done: $status $reason", ({ status, reason }) => {
    const error = new KubeError(status, "", { reason });
    expect(isOutcomeUnknown(error)).toBe(true);
    expect(problem(error).status).toBe(500);
    expect(problem(error, true).status).toBe(503);
  });

  it("lets a client repeat what was never sent", () => {
    const error = new KubeError(0, "", { reason: "Unsent" });
    expect([isOutcomeUnknown(error), problem(error).status]).toEqual([false, 503]);
  });

  it("leaves other errors as they are", () => {
    const error = new Error("the caller went away");
    expect(problemOf(error, { mayRepeat: true })).toBe(error);
  });
});
