import { showPath } from "./byte-string.ts";
import type { EntryHead } from "./entry-head.ts";
import { createLayerIndex, indexed } from "./layer-index.ts";
import type { LayerLimits } from "./layer-limits.ts";
import type { LayerFacts } from "./layer-plan.ts";
import { createTarScanner } from "./tar-scanner.ts";

/** Checks a layer as its bytes come by, before anybody restores it. */
export interface LayerCheck {
  /** About how much memory the entries take so far. */
  readonly memoryBytes: number;
  /** Takes the next bytes; throws an `ArchiveFault` at the first fault. */
  push(bytes: Uint8Array): void;
  /** Must be called after the last byte: what is missing shows only there. */
  end(): Omit<LayerFacts, "warnings">;
}

/**
 * The one judgement of layers, their own or Isola's, wherever they are restored. Takes only what gVisor
 * restores as it stands there: every folder with its own entry before what lies in it, no name twice, links
 * after what they lead to, both blocks that end an archive.
 */
export function createLayerCheck(limits: LayerLimits): LayerCheck {
  const index = createLayerIndex(limits);
  let tarBytes = 0;
  let largest: EntryHead | undefined;
  const scanner = createTarScanner(
    {
      entry(head, place) {
        index.add(indexed(head, place));
        if (head.sizeBytes > (largest?.sizeBytes ?? 0)) largest = head;
      },
    },
    limits.tarBytes,
  );
  return {
    get memoryBytes() {
      return index.memoryBytes;
    },
    push(bytes) {
      scanner.push(bytes);
      tarBytes += bytes.length;
    },
    end() {
      scanner.end();
      const entries = index.finish().length;
      if (largest === undefined) return { tarBytes, entries };
      return { tarBytes, entries, largest: { path: showPath(largest.path), sizeBytes: largest.sizeBytes } };
    },
  };
}
