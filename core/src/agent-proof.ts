import { fromBase64Url, toBase64Url } from "./base64url.ts";

/**
 * How an agent proves to a gateway which sandbox it belongs to: an address may by now be another
 * sandbox's. Operator and gateway derive each sandbox's key from one master key, so nothing of it is
 * stored; the agent is given its own, and answers each request's nonce with a code that only that
 * key makes.
 *
 *   key   = HMAC-SHA-256(master key, "atoll-agent:" + agent id)
 *   proof = HMAC-SHA-256(key, "atoll-proof:" + nonce)
 *
 * All are base64url without padding.
 */
const KEY_BYTES = 32;
const NONCE_BYTES = 16;
/** 32 bytes; the last character carries four bits only. */
const CODE = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
/** 16 bytes; the last character carries two bits only. */
const NONCE = /^[A-Za-z0-9_-]{21}[AQgw]$/;
const HMAC = { name: "HMAC", hash: "SHA-256" };

/** A fresh master key. */
export function generateMasterKey(): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(KEY_BYTES)));
}

/** A fresh nonce for one request. */
export function generateNonce(): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)));
}

/** True for what `generateMasterKey` and `deriveAgentKey` give. */
export function isAgentKey(text: string): boolean {
  return CODE.test(text);
}

/** True for what `generateNonce` gives: an agent makes codes of nothing else. */
export function isNonce(text: string): boolean {
  return NONCE.test(text);
}

/** The key of one agent. Throws RangeError when the master key is none. */
export async function deriveAgentKey(masterKey: string, agentId: string): Promise<string> {
  return toBase64Url(new Uint8Array(await sign(masterKey, `atoll-agent:${agentId}`)));
}

/** What the agent that holds `key` answers to `nonce`. */
export async function proveAgent(key: string, nonce: string): Promise<string> {
  return toBase64Url(new Uint8Array(await sign(key, `atoll-proof:${nonce}`)));
}

/** True when `proof` was made of this nonce with this key; takes as long for every wrong proof of the right form. */
export async function checkAgentProof(key: string, nonce: string, proof: string): Promise<boolean> {
  if (!CODE.test(proof)) return false;
  const expected = new TextEncoder().encode(`atoll-proof:${nonce}`);
  return crypto.subtle.verify("HMAC", await importKey(key), fromBase64Url(proof), expected);
}

async function sign(key: string, text: string): Promise<ArrayBuffer> {
  return crypto.subtle.sign("HMAC", await importKey(key), new TextEncoder().encode(text));
}

function importKey(key: string): Promise<CryptoKey> {
  if (!isAgentKey(key)) throw new RangeError("Cannot use an agent key: it is not 32 bytes in base64url");
  return crypto.subtle.importKey("raw", fromBase64Url(key), HMAC, false, ["sign", "verify"]);
}
