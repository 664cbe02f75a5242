import { runTool } from "#runtime/backend/local/node/image-tool.ts";

/** What sources of today ask for in their own go.mod. */
export const OLDEST_GO = { major: 1, minor: 26 };

/** Throws one sentence, which begins with `failure`, where no Go can build what is wanted. */
export async function requireGo(failure: string, signal: AbortSignal): Promise<void> {
  const wanted = `Go ${OLDEST_GO.major}.${OLDEST_GO.minor} or newer`;
  const output = await runTool("go", ["env", "GOVERSION"], { signal }).catch(() => {
    signal.throwIfAborted();
    throw new Error(`${failure}: ${wanted} is needed on PATH.`);
  });
  const version = new TextDecoder().decode(output).trim();
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(version) ?? [];
  const isNewEnough =
    Number(major) > OLDEST_GO.major || (Number(major) === OLDEST_GO.major && Number(minor) >= OLDEST_GO.minor);
  // An older Go from 1.21 on fetches the one it needs by itself.
  if (!isNewEnough && !(Number(major) === 1 && Number(minor) >= 21))
    throw new Error(`${failure}: ${wanted} is needed on PATH, there is ${version}.`);
}
