import type { EntryHead } from "../../archive/entry-head.ts";
import type { IndexedEntry } from "../../archive/layer-index.ts";
import { createTarScanner } from "../../archive/tar-scanner.ts";
import type { FileBytes } from "./file-bytes.ts";

/** Some bytes of a layer: a part of a file, or zeroes that nothing is read for. */
export interface Piece {
  readonly bytes: number;
  readonly from: { readonly file: FileBytes; readonly at: number } | undefined;
}

/** An archive that bodies of entries lie in. */
export interface LayerSource {
  /** The archive with the entries' headers; offsets of entries count from `at`. */
  readonly archive: { readonly file: FileBytes; readonly at: number };
  pieces(body: IndexedEntry): AsyncIterable<Piece>;
}

/** A source whose entries have their data behind their headers. */
export function plainSource(file: FileBytes): LayerSource {
  return {
    archive: { file, at: 0 },
    async *pieces(body) {
      yield { bytes: body.sizeBytes, from: { file, at: body.dataAt } };
    },
  };
}

/** Reads an entry's header again. */
export async function readHead({ archive }: LayerSource, { at, dataAt }: IndexedEntry): Promise<EntryHead> {
  let found: EntryHead | undefined;
  const scanner = createTarScanner({ entry: (head) => void (found = head) }, Number.MAX_SAFE_INTEGER);
  scanner.push(await archive.file.read(archive.at + at, dataAt - at));
  if (found === undefined) throw new Error(`There is no entry at byte ${at}`);
  return found;
}
