import { oneLine } from "./one-line.ts";

/** Text output with one changing status line at the bottom, where the output is a terminal. */
export interface Screen {
  /** Whether the status line shows. */
  readonly live: boolean;
  /** Prints whole lines above the status line. */
  print(text: string): void;
  /** Replaces the status line; nothing without a terminal. */
  status(text: string): void;
  /** Removes the status line. */
  clear(): void;
}

/** A terminal's width in cells, asked before each line since it can change. */
export interface Terminal {
  readonly columns: number;
}

const ERASE_LINE = "\r\u001b[2K";

/** `terminal` is undefined where the output is a file or a pipe. */
export function createScreen(write: (text: string) => void, terminal: Terminal | undefined): Screen {
  let status = "";
  const clear = (): void => {
    if (status !== "") write(ERASE_LINE);
    status = "";
  };
  const show = (text: string): void => {
    if (terminal === undefined) return;
    const line = [...oneLine(text)].slice(0, Math.max(10, terminal.columns - 1)).join("");
    if (line === status) return;
    write(`${status === "" ? "" : ERASE_LINE}${line}`);
    status = line;
  };
  return {
    live: terminal !== undefined,
    print(text) {
      const again = status;
      clear();
      write(`${text}\n`);
      if (again !== "") show(again);
    },
    status: show,
    clear,
  };
}
