import { describe, expect, it } from "vitest";
import * as z from "zod";
import { renderEnvironment } from "./environment.ts";

const Environment = z.object({
  NEEDED: z.string().min(1),
  COUNT: z.string().regex(/^\d+$/).default("1"),
  NODE: z.string(),
});

describe("renderEnvironment", () => {
  it("leaves out what is absent or empty, and reads a field of the pod when the pod starts", () => {
    const variables = renderEnvironment(Environment, {
      NEEDED: "x",
      COUNT: undefined,
      NODE: { fieldPath: "spec.nodeName" },
    });
    expect(variables).toEqual([
      { name: "NEEDED", value: "x" },
      { name: "NODE", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "spec.nodeName" } } },
    ]);
  });

  it("refuses what the program would refuse", () => {
    expect(() => renderEnvironment(Environment, { NEEDED: "x", COUNT: "many", NODE: "n" })).toThrow("COUNT");
    // @ts-expect-error a variable that the program needs is missing
    expect(() => renderEnvironment(Environment, { NODE: "n" })).toThrow("NEEDED");
  });
});
