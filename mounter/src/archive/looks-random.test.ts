import { createCipheriv } from "node:crypto";
import { deflateSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { looksRandom } from "./looks-random.ts";

const MIB = 2 ** 20;
const key = new Uint8Array(32);
const noise = new Uint8Array(createCipheriv("aes-256-ctr", key, key.subarray(16)).update(new Uint8Array(MIB)));
const text = new Uint8Array(
  Buffer.alloc(MIB, "All of what is written here has been written before, and will be again. "),
);

describe("looksRandom()", () => {
  test("says so of what is encrypted or packed already", () => {
    expect(looksRandom(noise)).toBe(true);
    const letters = Buffer.from(Buffer.from(noise).toString("hex"));
    for (const packed of [deflateSync(letters), zstdCompressSync(letters)]) expect(looksRandom(packed)).toBe(true);
  });

  test("does not say so of what gets smaller, nor of what is too short to be judged", () => {
    expect(looksRandom(text)).toBe(false);
    expect(looksRandom(new Uint8Array(MIB))).toBe(false);
    expect(looksRandom(new Uint8Array(Buffer.from(Buffer.from(noise).toString("base64"))))).toBe(false);
    expect(looksRandom(noise.subarray(0, 60_000))).toBe(false);
    const half = new Uint8Array(Buffer.concat([noise.subarray(0, MIB / 2), text.subarray(0, MIB / 2)]));
    expect(looksRandom(half)).toBe(false);
  });
});
