import type { SandboxReason } from "#core/sandbox.ts";

/** Why a sandbox cannot go on. */
export interface Fault {
  readonly reason: SandboxReason;
  /** One sentence for its owner. */
  readonly message: string;
}

const MAX_CHARACTERS = 1024;

/** Foreign text within a sentence of ours: one line, of bounded length, with one full stop. */
export function quoted(text: string | undefined, fallback: string): string {
  const line = (text ?? "")
    .replaceAll(/[\p{Cc}\s]+/gu, " ")
    .trim()
    .replace(/\.$/, "");
  if (line === "") return fallback;
  return line.length > MAX_CHARACTERS ? `${line.slice(0, MAX_CHARACTERS)}…` : line;
}
