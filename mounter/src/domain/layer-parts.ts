/** A part of a layer that is downloaded by itself. */
export interface LayerPart {
  readonly index: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The parts of a layer; all but the last have the same size. */
export function layerParts(bytes: number, partBytes: number): readonly LayerPart[] {
  return Array.from({ length: Math.ceil(bytes / partBytes) }, (_, index) => {
    const offset = index * partBytes;
    return { index, offset, sizeBytes: Math.min(partBytes, bytes - offset) };
  });
}

/** What a download has noted of itself: which parts of what are there. */
export interface PartsNote {
  readonly bytes: number;
  readonly partBytes: number;
  readonly done: ReadonlySet<number>;
}

const MOST_PARTS = 1_000_000;

/** First line of a note. */
export function notesHead({ bytes, partBytes }: Pick<PartsNote, "bytes" | "partBytes">): string {
  return `parts ${bytes} ${partBytes}\n`;
}

/** Line that says that a part is there. */
export function partLine(index: number): string {
  return `${index}\n`;
}

/** Reads a note that may have been cut anywhere; undefined when it is none. */
export function parseNotes(text: string): PartsNote | undefined {
  const head = /^parts (\d{1,15}) (\d{1,15})\n/.exec(text);
  const [bytes, partBytes] = [Number(head?.[1]), Number(head?.[2])];
  if (head === null || partBytes < 1 || bytes / partBytes > MOST_PARTS) return undefined;
  const lines = text.slice(head[0].length).split("\n");
  // What stands behind the last line's end is cut.
  lines.pop();
  const count = Math.ceil(bytes / partBytes);
  const done = new Set(
    lines
      .filter((line) => /^\d{1,7}$/.test(line))
      .map(Number)
      .filter((index) => index < count),
  );
  return { bytes, partBytes, done };
}

/** How many bytes the parts have that are there. */
export function doneBytes({ bytes, partBytes, done }: PartsNote): number {
  return layerParts(bytes, partBytes).reduce((sum, part) => sum + (done.has(part.index) ? part.sizeBytes : 0), 0);
}
