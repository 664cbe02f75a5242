import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createBufferRing } from "../../node/buffer-ring.ts";
import { makePipe, writePipe } from "./write-pipe.ts";

const { signal } = new AbortController();
const CHUNK_BYTES = 300_000;
const CHUNKS = 20;
let dir: string;
let path: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-pipe-"));
  path = join(dir, "pipe");
  await makePipe(path);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Chunks that are good only until the next but one is asked for. */
function stream() {
  const ring = createBufferRing(3, CHUNK_BYTES);
  const hash = createHash("sha256");
  let given = 0;
  async function* chunks(): AsyncIterable<Uint8Array> {
    for (; given < CHUNKS; given += 1) {
      const chunk = ring.next();
      randomBytes(CHUNK_BYTES).copy(chunk);
      hash.update(chunk);
      yield chunk;
    }
  }
  return { chunks: chunks(), given: () => given, digest: () => hash.digest("hex") };
}

describe("writePipe()", () => {
  test("gives a reader all bytes in order, however late it comes, and then ends", async () => {
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const { chunks, digest } = stream();
    const written = writePipe(chunks, path, { signal });
    const reader = spawn("sh", ["-c", 'sleep 0.1; exec cat "$1"', "sh", path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const read = await buffer(reader.stdout);
    await written;
    expect([read.length, digestOf(read)]).toEqual([CHUNKS * CHUNK_BYTES, digest()]);
  });

  test("hears its stream to the end when the reader leaves", async () => {
    const { chunks, given } = stream();
    const reader = spawn("head", ["-c", "1000", path], { stdio: "ignore" });
    await Promise.all([writePipe(chunks, path, { signal }), once(reader, "exit")]);
    expect(given()).toBe(CHUNKS);
  });

  test("tells what its stream fails with, and leaves its reader with an end", async () => {
    async function* failing(): AsyncIterable<Uint8Array> {
      yield Buffer.from("some");
      throw new Error("the store is gone");
    }
    const reader = spawn("cat", [path], { stdio: ["ignore", "pipe", "inherit"] });
    const read = buffer(reader.stdout);
    await expect(writePipe(failing(), path, { signal })).rejects.toThrow("the store is gone");
    expect((await read).toString()).toBe("some");
  });

  test("ends with its signal, without a reader and with one that reads nothing", async () => {
    const alone = new AbortController();
    const waiting = writePipe(stream().chunks, path, alone);
    setTimeout(() => alone.abort(new Error("not wanted")), 20);
    await expect(waiting).rejects.toThrow("not wanted");
    const stalled = new AbortController();
    // Opened for both, so that it does not wait for a writer.
    const reader = await open(path, "r+");
    const { chunks, given } = stream();
    const stuck = writePipe(chunks, path, stalled);
    stuck.catch(() => undefined);
    await expect.poll(given).toBe(1);
    stalled.abort(new Error("not wanted"));
    await expect(stuck).rejects.toThrow("not wanted");
    await reader.close();
  });
});
