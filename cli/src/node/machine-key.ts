import { createHash, randomBytes } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** The API key by which `atoll` itself is let in where the gateway asks for keys; only root can read it. */
export async function readMachineKey(home: string): Promise<string | undefined> {
  const text = await readFile(keyFile(home), "utf8").catch(() => "");
  return text.trim() || undefined;
}

/** The key, made at first use, and its hash. */
export async function makeMachineKey(home: string): Promise<{ key: string; hash: string }> {
  const key = (await readMachineKey(home)) ?? (await writeKey(keyFile(home)));
  return { key, hash: createHash("sha256").update(key).digest("hex") };
}

/** Appears whole or not at all, and never replaces another's. */
async function writeKey(file: string): Promise<string> {
  const key = randomBytes(32).toString("base64url");
  const part = `${file}.${process.pid}`;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(part, `${key}\n`, { mode: 0o600 });
  try {
    await link(part, file);
  } finally {
    await rm(part);
  }
  return key;
}

function keyFile(home: string): string {
  return join(home, "run", "key");
}
