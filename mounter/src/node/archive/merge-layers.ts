import { ArchiveFault } from "../../archive/archive-fault.ts";
import { createLayerIndex, indexed } from "../../archive/layer-index.ts";
import type { LayerLimits } from "../../archive/layer-limits.ts";
import { mergeNodes, nodesOf, type LayerNode } from "../../archive/layer-node.ts";
import { planLayer } from "../../archive/layer-plan.ts";
import { pathKey } from "../../archive/entry-head.ts";
import { sizeText } from "../../archive/size-text.ts";
import { openBytes, scanFile, type FileBytes } from "./file-bytes.ts";
import type { ArchiveTurn } from "./large-archives.ts";
import { plainSource } from "./layer-source.ts";
import { layerStream, type LayerStream } from "./layer-stream.ts";

/** A layer that reads files which stay open until it is disposed of. */
export interface MergedLayer extends LayerStream, AsyncDisposable {}

/**
 * One sorted layer that does what several do one after the other, bottom first. Keeps the entries in
 * memory and reads data from the files as it is asked for; one layer alone is put in order.
 */
export async function mergeLayers(
  paths: readonly string[],
  limits: LayerLimits,
  signal: AbortSignal,
  turn?: ArchiveTurn,
): Promise<MergedLayer> {
  await using files = new AsyncDisposableStack();
  const opened: FileBytes[] = [];
  let nodes: readonly LayerNode[] = [];
  for (const [source, path] of paths.entries()) {
    const file = files.use(await openBytes(path));
    opened.push(file);
    const below = new Map(nodes.map((node) => [pathKey(node.path), node]));
    const above = nodesOf(await entriesOf(file, source > 0, limits, { signal, turn }), source, below);
    nodes = source === 0 ? above : mergeNodes(nodes, above);
    // Each layer keeps to the limits, and there may be many.
    checkNodes(nodes, limits);
  }
  const layer = layerStream(planLayer(nodes, limits), opened.map(plainSource));
  const kept = files.move();
  return { ...layer, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

interface Scan {
  readonly signal: AbortSignal;
  readonly turn: ArchiveTurn | undefined;
}

async function entriesOf(file: FileBytes, mayLinkOut: boolean, limits: LayerLimits, { signal, turn }: Scan) {
  const index = createLayerIndex(limits, { mayLinkOut });
  const visitor = { entry: (...[head, place]: Parameters<typeof indexed>) => index.add(indexed(head, place)) };
  const onPiece = async (): Promise<void> => turn?.fits(index.memoryBytes);
  await scanFile(file, { from: 0, to: file.sizeBytes }, visitor, { signal, onPiece });
  return index.finish();
}

function checkNodes(nodes: readonly LayerNode[], limits: LayerLimits): void {
  const tooLarge = (what: string): ArchiveFault => new ArchiveFault("too-large", `the layers have ${what}`);
  if (nodes.length > limits.entries) throw tooLarge(`${nodes.length} entries together; the most are ${limits.entries}`);
  const nameBytes = nodes.reduce((sum, { path }) => sum + path.length, 0);
  if (nameBytes > limits.nameBytes)
    throw tooLarge(`names of ${sizeText(nameBytes)} together; the most are ${sizeText(limits.nameBytes)}`);
}
