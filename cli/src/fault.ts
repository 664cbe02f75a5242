/** Why the program cannot go on, in one plain sentence for the person at the terminal. */
export class Fault extends Error {
  readonly exitCode: number;

  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : {});
    this.name = "Fault";
    this.exitCode = options.exitCode ?? EXIT.failed;
  }
}

/** Exit codes of `atoll`, as in its help. */
export const EXIT = { done: 0, failed: 1, usage: 2, down: 3, interrupted: 130 } as const;

/** What to print for anything thrown: never a stack trace. */
export function sentenceOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0] || "an unknown fault";
}
