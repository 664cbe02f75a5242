import type { SnapshotWarning } from "#api/snapshot-manifest.ts";
import { ArchiveFault } from "./archive-fault.ts";
import { showPath } from "./byte-string.ts";
import { headBytes, xattrRecordBytes } from "./entry-codec.ts";
import { NO_DEVICE, isWhiteout } from "./entry-head.ts";
import type { IndexedEntry } from "./layer-index.ts";
import type { LayerLimits } from "./layer-limits.ts";
import type { LayerNode } from "./layer-node.ts";
import { keptTime } from "./kept-time.ts";
import { layerWarnings } from "./layer-warnings.ts";
import { OPAQUE, type PlannedEntry } from "./planned-entry.ts";
import { sizeText } from "./size-text.ts";
import { END_BYTES, paddingOf } from "./tar-block.ts";

/** What is known of a layer before a byte of it is written. */
export interface LayerFacts {
  readonly tarBytes: number;
  readonly entries: number;
  readonly warnings: readonly SnapshotWarning[];
  /** The largest file, for people; absent when there is none. */
  readonly largest?: { readonly path: string; readonly sizeBytes: number };
}

export interface LayerPlan extends LayerFacts {
  readonly planned: readonly PlannedEntry[];
}

/** Orders a layer's entries and counts its bytes; refuses one that is larger than allowed. */
export function planLayer(sorted: readonly LayerNode[], limits: LayerLimits): LayerPlan {
  const firstNames = new Map<IndexedEntry, string>();
  const planned = sorted.map((node) => plannedOf(node, firstNames));
  let tarBytes = END_BYTES;
  let largest: PlannedEntry | undefined;
  for (const entry of planned) {
    const { facts } = entry;
    tarBytes += headBytes(facts, recordBytesOf(entry)) + facts.sizeBytes + paddingOf(facts.sizeBytes);
    if (facts.sizeBytes > (largest?.facts.sizeBytes ?? 0)) largest = entry;
  }
  if (tarBytes > limits.tarBytes) throw tooLarge(tarBytes, limits, largest);
  if (planned.length > limits.entries)
    throw new ArchiveFault(
      "too-large",
      `the layer would have ${planned.length} entries; the most are ${limits.entries}`,
    );
  return {
    planned,
    tarBytes,
    entries: planned.length,
    warnings: layerWarnings(planned),
    ...(largest === undefined
      ? {}
      : { largest: { path: showPath(largest.facts.path), sizeBytes: largest.facts.sizeBytes } }),
  };
}

/**
 * The first name of a body in order has its data; the others are links to it. Deletions are no links,
 * though gVisor makes them so: each tells by itself what it is.
 */
function plannedOf({ path, body, source, isOpaque }: LayerNode, firstNames: Map<IndexedEntry, string>): PlannedEntry {
  const first = isWhiteout(body) ? undefined : firstNames.get(body);
  const { mode, uid, gid } = body;
  const mtimeSeconds = keptTime(body.mtimeSeconds);
  const same = { path, mode, uid, gid, mtimeSeconds };
  if (first !== undefined) {
    const facts = { ...same, kind: "hardLink" as const, sizeBytes: 0, target: first, device: NO_DEVICE };
    return { facts, body, source, isOpaque: false };
  }
  firstNames.set(body, path);
  const facts = { ...same, kind: body.kind, sizeBytes: body.sizeBytes, target: "", device: body.device };
  return { facts, body, source, isOpaque };
}

function recordBytesOf({ facts, body, isOpaque }: PlannedEntry): number {
  if (facts.kind === "hardLink") return 0;
  return body.recordBytes + (isOpaque && !body.isOpaque ? xattrRecordBytes(OPAQUE) : 0);
}

function tooLarge(tarBytes: number, limits: LayerLimits, largest: PlannedEntry | undefined): ArchiveFault {
  const sizes = `the layer would take ${sizeText(tarBytes)}, more than the ${sizeText(limits.tarBytes)} allowed`;
  if (largest === undefined) return new ArchiveFault("too-large", sizes);
  const { path, sizeBytes } = largest.facts;
  const holes = largest.body.heldBytes < sizeBytes / 2 ? ", mostly holes" : "";
  return new ArchiveFault("too-large", `${sizes}; largest is "${showPath(path)}" (${sizeText(sizeBytes)}${holes})`);
}
