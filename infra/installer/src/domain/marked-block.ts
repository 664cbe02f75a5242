const BEGIN = "# >>> atoll: gVisor runtime, kept by the node's installer; changes here are overwritten";
/** Says of a block that the text before it had no end of line of its own. */
const BEGIN_JOINED = `${BEGIN} (joined)`;
const END = "# <<< atoll";

/** A text with our block and without: `rest` is byte for byte what was there before. */
export interface MarkedText {
  readonly rest: string;
  readonly block: string | undefined;
}

/** Appends lines between marks. `text` holds no block yet. */
export function addBlock(text: string, lines: string): string {
  const isJoined = text !== "" && !text.endsWith("\n");
  const begin = isJoined ? `\n${BEGIN_JOINED}` : BEGIN;
  return `${text}${begin}\n${lines.replace(/\n*$/, "\n")}${END}\n`;
}

/** Takes the block out. Throws when the marks do not pair: then somebody changed them. */
export function splitBlock(text: string): MarkedText {
  const lines = text.split("\n");
  const begin = lines.findIndex((line) => line === BEGIN || line === BEGIN_JOINED);
  const end = lines.indexOf(END);
  if (begin === -1 && end === -1) return { rest: text, block: undefined };
  const isPaired = begin !== -1 && begin < end && lines.lastIndexOf(END) === end;
  const isLast = !lines.slice(begin + 1).some((line) => line === BEGIN || line === BEGIN_JOINED);
  if (!isPaired || !isLast)
    throw new RangeError(`Its lines "${BEGIN}" and "${END}" do not make one pair: remove them by hand.`);
  const before = lines.slice(0, begin).join("\n");
  const after = lines.slice(end + 1).join("\n");
  const isJoined = lines[begin] === BEGIN_JOINED;
  const gap = begin === 0 || (isJoined && after === "") ? "" : "\n";
  return { rest: `${before}${gap}${after}`, block: `${lines.slice(begin + 1, end).join("\n")}\n` };
}

/** Whether there is a block of ours, or what is left of one. */
export function hasBlock(text: string): boolean {
  return text.split("\n").some((line) => line === BEGIN || line === BEGIN_JOINED || line === END);
}
