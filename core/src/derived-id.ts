import { toHex } from "./hex.ts";
import { idFromBytes, sha256 } from "./ids.ts";

/** Id of the sandbox that an idempotency key makes; the same key gives the same id for ever. */
export function sandboxIdOfKey(key: string): Promise<string> {
  return idOfKey("sandbox", key);
}

/** The same of the record of a snapshot. */
export function snapshotIdOfKey(key: string): Promise<string> {
  return idOfKey("snapshot", key);
}

async function idOfKey(kind: string, key: string): Promise<string> {
  const halves = await Promise.all([sha256(`${kind}:0:${key}`), sha256(`${kind}:1:${key}`)]);
  const bytes = new Uint8Array(64);
  halves.forEach((half, i) => bytes.set(half, i * 32));
  return idFromBytes(bytes);
}

/** Id of the command that an idempotency key makes in one sandbox: a UUID of version 8 (RFC 9562, custom). */
export async function commandIdOfKey(sandboxId: string, key: string): Promise<string> {
  const bytes = (await sha256(`command:${sandboxId}:${key}`)).subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = toHex(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** SHA-256 in hex of a JSON value, the same for every order of its members. */
export async function digestOf(value: unknown): Promise<string> {
  return toHex(await sha256(JSON.stringify(value, sortedMembers)));
}

function sortedMembers(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
