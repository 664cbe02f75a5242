import fc from "fast-check";
import { expect, it } from "vitest";
import { readHead, readMeasuredHead } from "./request-head.ts";

const name = fc.constantFrom("Host", "X-Request-Id", "Origin", "Sec-Fetch-Site", "Accept", "x-other");
const headers = fc.array(fc.tuple(name, fc.stringMatching(/^[a-z0-9:/.-]{0,20}$/)), { maxLength: 8 });

it("readMeasuredHead reads what readHead reads, and the size of all headers with the target", () => {
  fc.assert(
    fc.property(headers, (lines) => {
      const request = new Request("http://localhost/path", { headers: lines });
      const { sizeBytes, ...head } = readMeasuredHead(request);
      expect(head).toEqual(readHead(request));
      const joined = [...new Headers(lines)];
      const expected = joined.reduce((sum, [key, value]) => sum + key.length + value.length + 4, request.url.length);
      expect(sizeBytes).toBe(expected);
    }),
  );
});
