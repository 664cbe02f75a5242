import { join } from "node:path";
import { LABEL_PATTERN } from "#api/name-patterns.ts";

const HEX = /^[0-9a-f]{64}$/;

/** The places of one layer: `id` = 64 hex digits, of its digest or of what stands for it. */
export interface LayerPaths {
  readonly folder: string;
  readonly file: string;
  /** How many bytes the file has to have; the layer counts only with it. */
  readonly size: string;
}

export interface PartialPaths {
  readonly folder: string;
  readonly file: string;
  /** Which parts are there. */
  readonly notes: string;
}

export function layerPaths(dir: string, namespace: string, id: string): LayerPaths {
  const folder = join(dir, checked(namespace, id), "sha256");
  return { folder, file: join(folder, id), size: join(folder, `${id}.size`) };
}

export function partialPaths(dir: string, namespace: string, id: string): PartialPaths {
  const folder = join(dir, checked(namespace, id), "partial");
  return { folder, file: join(folder, id), notes: join(folder, `${id}.parts`) };
}

export function isId(name: string): boolean {
  return HEX.test(name);
}

export function isNamespace(name: string): boolean {
  return name.length <= 63 && LABEL_PATTERN.test(name);
}

/** Nothing from outside becomes a path unchecked. */
function checked(namespace: string, id: string): string {
  if (!isNamespace(namespace) || !isId(id)) throw new RangeError(`"${namespace}/${id}" names no layer`);
  return namespace;
}
