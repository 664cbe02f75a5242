import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import * as z from "zod";
import { generateAgentKeys } from "#core/agent-token.ts";

const Keys = z.strictObject({ privateKey: z.string().min(40), publicKey: z.string().min(40) });
export type AgentKeys = z.infer<typeof Keys>;

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
