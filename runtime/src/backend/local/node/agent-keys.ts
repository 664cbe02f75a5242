import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import * as z from "zod";
import { generateAgentKeys, signAgentToken } from "#core/agent-token.ts";
import type { Clock } from "#core/clock.ts";

const Keys = z.strictObject({ privateKey: z.string().min(40), publicKey: z.string().min(40) });
export type AgentKeys = z.infer<typeof Keys>;

const TOKEN_LIFE_MS = 10 * 60_000;
const RENEW_BEFORE_MS = 60_000;

/** This gateway's key pair for its agents, made once; only root can read the file. */
export async function loadAgentKeys(path: string): Promise<AgentKeys> {
  try {
    return Keys.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const keys = await generateAgentKeys();
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.tmp`, JSON.stringify(keys), { mode: 0o600 });
  await rename(`${path}.tmp`, path);
  return keys;
}

/** Tokens for one agent, each used until shortly before it expires. */
export function createTokenSource(privateKey: string, agentId: string, clock: Clock): () => Promise<string> {
  let token: Promise<string> | undefined;
  let expiresAtMs = 0;
  return () => {
    if (token === undefined || clock.now() > expiresAtMs - RENEW_BEFORE_MS) {
      expiresAtMs = clock.now() + TOKEN_LIFE_MS;
      token = signAgentToken(privateKey, { agentId, expiresAtMs });
    }
    return token;
  };
}
