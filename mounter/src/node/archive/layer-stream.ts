import { encodeHead } from "../../archive/entry-codec.ts";
import type { LayerFacts, LayerPlan } from "../../archive/layer-plan.ts";
import { headOf, needsBody } from "../../archive/planned-entry.ts";
import { END_BYTES, paddingOf } from "../../archive/tar-block.ts";
import { fillChunks } from "./fill-chunks.ts";
import { readHead, type LayerSource, type Piece } from "./layer-source.ts";

/** A layer as it is written: what is known of it, then its bytes. */
export interface LayerStream {
  readonly facts: LayerFacts;
  /** The archive; can be read more than once, always with the same bytes. */
  chunks(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Writes a plan: headers in their one form, data as the sources have it. Holds about one chunk. */
export function layerStream(plan: LayerPlan, sources: readonly LayerSource[]): LayerStream {
  const { planned: _, ...facts } = plan;
  return {
    facts,
    chunks: (signal) => fillChunks(parts(plan, sources), plan.tarBytes, signal),
  };
}

async function* parts(plan: LayerPlan, sources: readonly LayerSource[]): AsyncIterable<Uint8Array | Piece> {
  for (const entry of plan.planned) {
    const source = sources[entry.source];
    if (source === undefined) throw new RangeError(`There is no source ${entry.source}`);
    yield* encodeHead(headOf(entry, needsBody(entry) ? await readHead(source, entry.body) : {}));
    const { sizeBytes } = entry.facts;
    if (sizeBytes > 0) yield* source.pieces(entry.body);
    if (sizeBytes > 0) yield { bytes: paddingOf(sizeBytes), from: undefined };
  }
  yield { bytes: END_BYTES, from: undefined };
}
