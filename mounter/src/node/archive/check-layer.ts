import { createLayerCheck, type LayerCheck } from "../../archive/layer-check.ts";
import type { LayerLimits } from "../../archive/layer-limits.ts";
import type { ArchiveTurn } from "./large-archives.ts";

/** What is known of a layer when it has been checked. */
export type CheckedFacts = ReturnType<LayerCheck["end"]>;

export interface CheckedLayer {
  /** The same bytes; good only when the last one has come without an `ArchiveFault`. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Only after the last chunk. */
  facts(): CheckedFacts;
}

/** Checks a layer of a store, its own or Isola's, while it passes on its way to the disk. */
export function checkLayer(source: AsyncIterable<Uint8Array>, limits: LayerLimits, turn?: ArchiveTurn): CheckedLayer {
  const check = createLayerCheck(limits);
  let facts: ReturnType<LayerCheck["end"]> | undefined;

  async function* checked(): AsyncIterable<Uint8Array> {
    for await (const chunk of source) {
      check.push(chunk);
      await turn?.fits(check.memoryBytes);
      yield chunk;
    }
    facts = check.end();
  }

  return {
    chunks: checked(),
    facts() {
      if (facts === undefined) throw new Error("Not all of the layer has come by");
      return facts;
    },
  };
}
