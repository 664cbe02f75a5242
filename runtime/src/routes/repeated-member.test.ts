import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { repeatedMember } from "./repeated-member.ts";

describe("repeatedMember()", () => {
  it.each([
    ['{"a":1,"a":2}', "a"],
    ['{"a":{"b":[{"c":1,"c":{}}]}}', "c"],
    ['{"a":[],"b":{},"\\u0061":1}', "a"],
    ['{"x\\"}":1,"y":"{","x\\"}":2}', 'x"}'],
    ['{"a":{"b":1},"b":2,"c":[{"b":1},{"b":2}]}', undefined],
    ['{"a":"\\"a\\":1","b":["a","a"]}', undefined],
    ["[]", undefined],
    ['"a:a"', undefined],
  ])("of %s is %j", (json, name) => expect(repeatedMember(json)).toBe(name));

  it("is none in what a serializer writes, and is found wherever a member is put twice", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), fc.jsonValue(), fc.jsonValue(), (around, name, first, second) => {
        const [text, key] = [JSON.stringify(around), JSON.stringify(name)];
        expect(repeatedMember(text)).toBeUndefined();
        const twice = `{${key}:${JSON.stringify(first)},${key}:${JSON.stringify(second)}}`;
        expect(repeatedMember(`[${text},${twice}]`)).toBe(name);
      }),
    );
  });
});
