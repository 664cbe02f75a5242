import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { systemClock } from "#core/clock.ts";
import { openStore } from "./open-store.ts";

const call = { signal: new AbortController().signal };

test("createS3Driver() signs every body, large or small, over its own SHA-256", async () => {
  const seen: { readonly bytes: number; readonly isRight: boolean }[] = [];
  const server = createServer((request, response) => {
    const hash = createHash("sha256");
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    request.on("end", () => {
      seen.push({ bytes, isRight: request.headers["x-amz-content-sha256"] === hash.digest("hex") });
      const { searchParams } = new URL(request.url ?? "", "http://localhost");
      response.setHeader("etag", '"1"');
      if (request.method !== "POST") response.end();
      else if (searchParams.has("uploads")) response.end(`<Result><UploadId>one</UploadId></Result>`);
      else response.end(`<Result><ETag>"2"</ETag></Result>`);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const store = await openStore(`s3://bucket/?region=us-east-1&path_style=true&endpoint=http://127.0.0.1:${port}`, {
    clock: systemClock,
    random: () => 0,
    newMark: () => "mark",
    credentials: { kind: "inline", values: { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "key" } },
  });
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 17; index += 1) yield new Uint8Array(randomBytes(1 << 20));
  };
  const { sizeBytes } = await store.upload("large", chunks(), { condition: { kind: "absent" } }, call);
  await store.put("small", new Uint8Array(randomBytes(10)), { kind: "always" }, call);
  expect(sizeBytes).toBe(17 << 20);
  expect(seen.map(({ isRight }) => isRight)).toEqual(seen.map(() => true));
  expect(
    seen
      .map(({ bytes }) => bytes)
      .toSorted((a, b) => b - a)
      .slice(0, 3),
  ).toEqual([8 << 20, 8 << 20, 1 << 20]);
  store.close();
  server.close();
});
