import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { systemClock } from "#core/clock.ts";
import type { StoreCredentials } from "../store-credentials.ts";
import { openStore } from "./open-store.ts";

const call = { signal: new AbortController().signal };

interface Seen {
  readonly method: string;
  readonly bytes: number;
  /** Whether the request says the SHA-256 of its body. */
  readonly isRight: boolean;
  readonly authorization: string | undefined;
}

/** A server that takes all it is sent. */
async function startTaker(): Promise<{ url: string; seen: readonly Seen[]; close: () => void }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const { method = "", headers, url = "" } = request;
    const hash = createHash("sha256");
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    request.on("end", () => {
      const isRight = headers["x-amz-content-sha256"] === hash.digest("hex");
      seen.push({ method, bytes, isRight, authorization: headers.authorization });
      const { searchParams } = new URL(url, "http://localhost");
      response.setHeader("etag", '"1"');
      if (method !== "POST") response.end();
      else if (searchParams.has("uploads")) response.end(`<Result><UploadId>one</UploadId></Result>`);
      else response.end(`<Result><ETag>"2"</ETag></Result>`);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const url = `s3://bucket/?region=us-east-1&path_style=true&endpoint=http://127.0.0.1:${port}`;
  return { url, seen, close: () => server.close() };
}

async function writeBoth(url: string, credentials: StoreCredentials): Promise<void> {
  const store = await openStore(url, { clock: systemClock, random: () => 0, newMark: () => "mark", credentials });
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 17; index += 1) yield new Uint8Array(randomBytes(1 << 20));
  };
  const { sizeBytes } = await store.upload("large", chunks(), { condition: { kind: "absent" } }, call);
  expect(sizeBytes).toBe(17 << 20);
  await store.put("small", new Uint8Array(randomBytes(10)), { kind: "always" }, call);
  store.close();
}

const largest = (seen: readonly Seen[]): readonly number[] =>
  seen
    .map(({ bytes }) => bytes)
    .toSorted((a, b) => b - a)
    .slice(0, 3);

test("createS3Driver() signs every body, large or small, over its own SHA-256", async () => {
  const { url, seen, close } = await startTaker();
  await writeBoth(url, {
    kind: "inline",
    values: { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "key" },
  });
  expect(seen.map(({ isRight }) => isRight)).toEqual(seen.map(() => true));
  expect(seen.map(({ authorization }) => authorization?.startsWith("AWS4-HMAC-SHA256 "))).toEqual(seen.map(() => true));
  expect(largest(seen)).toEqual([8 << 20, 8 << 20, 1 << 20]);
  close();
});

test("createS3Driver() uploads in parts as nobody without a signature", async () => {
  const { url, seen, close } = await startTaker();
  await writeBoth(url, { kind: "none" });
  expect(seen.map(({ authorization }) => authorization)).toEqual(seen.map(() => undefined));
  expect(seen.filter(({ method }) => method === "POST")).toHaveLength(2);
  expect(largest(seen)).toEqual([8 << 20, 8 << 20, 1 << 20]);
  close();
});
