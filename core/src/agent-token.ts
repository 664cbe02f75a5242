import { fromBase64Url, toBase64Url } from "./base64url.ts";

/**
 * Tokens by which a gateway proves itself to an agent: Ed25519 over the agent's id and a
 * deadline. The agent holds the public key only, so nothing inside a sandbox can make one,
 * and a token for one sandbox is worth nothing in another.
 *
 *   token = base64url(JSON {"agentId", "expiresAtMs"}) "." base64url(signature of the first part's text)
 */
export interface AgentTokenClaims {
  readonly agentId: string;
  /** Milliseconds since the Unix epoch; from this moment the token is refused. */
  readonly expiresAtMs: number;
}

export interface AgentKeys {
  /** PKCS #8, base64url without padding; stays with the gateway. */
  readonly privateKey: string;
  /** Raw 32 bytes, base64url without padding; given to agents. */
  readonly publicKey: string;
}

const ALGORITHM = "Ed25519";
/** Longer tokens are refused before any work is done on them. */
const MAX_TOKEN_CHARACTERS = 1024;
/** The last of 86 characters carries two bits only; with others there it would be a second spelling of the same signature. */
const TOKEN = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{85}[AQgw])$/;

/** A fresh key pair. */
export async function generateAgentKeys(): Promise<AgentKeys> {
  const pair = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError("Cannot generate agent keys: the runtime gave no key pair");
  return {
    privateKey: toBase64Url(new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey))),
    publicKey: toBase64Url(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey))),
  };
}

/** A token for one agent. Throws when the private key is not one of `generateAgentKeys`. */
export async function signAgentToken(privateKey: string, claims: AgentTokenClaims): Promise<string> {
  const key = await crypto.subtle.importKey("pkcs8", fromBase64Url(privateKey), ALGORITHM, false, ["sign"]);
  const { agentId, expiresAtMs } = claims;
  const payload = toBase64Url(new TextEncoder().encode(JSON.stringify({ agentId, expiresAtMs })));
  const signature = await crypto.subtle.sign(ALGORITHM, key, new TextEncoder().encode(payload));
  return `${payload}.${toBase64Url(new Uint8Array(signature))}`;
}

/** True when the token was signed for this agent and has not expired; false for anything else a peer may send. */
export async function verifyAgentToken(
  publicKey: string,
  token: string,
  expected: { readonly agentId: string; readonly nowMs: number },
): Promise<boolean> {
  return (await readAgentToken(publicKey, token, expected)) !== undefined;
}

/** Like `verifyAgentToken`, but gives the claims of a valid token, so that its answer can be kept until it expires. */
export async function readAgentToken(
  publicKey: string,
  token: string,
  expected: { readonly agentId: string; readonly nowMs: number },
): Promise<AgentTokenClaims | undefined> {
  const [, payload, signature] = token.length <= MAX_TOKEN_CHARACTERS ? (TOKEN.exec(token) ?? []) : [];
  if (payload === undefined || signature === undefined) return undefined;
  const key = await crypto.subtle.importKey("raw", fromBase64Url(publicKey), ALGORITHM, false, ["verify"]);
  const signed = new TextEncoder().encode(payload);
  if (!(await crypto.subtle.verify(ALGORITHM, key, fromBase64Url(signature), signed))) return undefined;
  const claims = parseClaims(payload);
  if (claims === undefined || claims.agentId !== expected.agentId || claims.expiresAtMs <= expected.nowMs)
    return undefined;
  return claims;
}

function parseClaims(payload: string): AgentTokenClaims | undefined {
  try {
    const claims: unknown = JSON.parse(new TextDecoder().decode(fromBase64Url(payload)));
    if (typeof claims !== "object" || claims === null || !("agentId" in claims) || !("expiresAtMs" in claims))
      return undefined;
    const { agentId, expiresAtMs } = claims;
    if (typeof agentId !== "string" || typeof expiresAtMs !== "number") return undefined;
    return { agentId, expiresAtMs };
  } catch {
    return undefined;
  }
}
