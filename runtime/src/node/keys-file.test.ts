import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Clock } from "#core/clock.ts";
import { toHex } from "#core/hex.ts";
import { sha256 } from "#core/ids.ts";
import { silentLog } from "#core/log.ts";
import { fixedKeys } from "../middleware/auth.ts";
import { openKeysFile } from "./keys-file.ts";

let directory = "";
let path = "";
const end = new AbortController();
/** Each sleep ends when it is told to. */
let wake = (): void => undefined;
const clock: Clock = { now: () => 0, sleep: () => new Promise<void>((resolve) => (wake = resolve)) };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-keys-"));
  path = join(directory, "keys");
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (besides: string[] = []) =>
  openKeysFile(path, { clock, log: silentLog, besides: fixedKeys(besides), signal: end.signal });
const hashes = (...keys: string[]): Promise<string[]> => Promise.all(keys.map(async (key) => toHex(await sha256(key))));
const shown = (keys: { digests(): readonly Uint8Array[] }): string[] => keys.digests().map(toHex);

describe("openKeysFile()", () => {
  it("splits by commas and lines, and knows the other keys too", async () => {
    writeFileSync(path, "one, two\nthree\n");
    const [other = ""] = await hashes("other");
    expect(shown(await open([other]))).toEqual([...(await hashes("one", "two", "three")), other]);
  });

  it("takes new keys and drops old ones without a restart", async () => {
    writeFileSync(path, "old");
    const keys = await open();
    writeFileSync(path, "new,newer");
    wake();
    await expect.poll(() => shown(keys)).toEqual(await hashes("new", "newer"));
    writeFileSync(path, "");
    wake();
    await expect.poll(() => shown(keys)).toEqual([]);
  });

  it("keeps the last keys while the file is away, and refuses to start without one", async () => {
    await expect(open()).rejects.toThrow("ENOENT");
    writeFileSync(path, "kept");
    const keys = await open();
    rmSync(path);
    const before = wake;
    wake();
    await expect.poll(() => wake !== before).toBe(true);
    expect(shown(keys)).toEqual(await hashes("kept"));
  });
});
