import type { KubeObject } from "./object.ts";

export type IndexFunctions<T> = Readonly<Record<string, (object: T) => readonly string[]>>;

/** Objects by values that functions read from them. */
export interface ObjectIndex<T> {
  /** An object was replaced, came (no `before`) or went (no `now`). */
  move(before: T | undefined, now: T | undefined): void;
  find(index: string, value: string): readonly T[];
}

export function createObjectIndex<T extends KubeObject>(functions: IndexFunctions<T>): ObjectIndex<T> {
  const indexes = Object.entries(functions).map(([name, read]) => ({ name, read, sets: new Map<string, Set<T>>() }));
  const byName = new Map(indexes.map(({ name, sets }) => [name, sets]));

  return {
    move(before, now) {
      for (const { read, sets } of indexes) {
        if (before !== undefined) for (const value of read(before)) take(sets, value, before);
        if (now !== undefined) for (const value of read(now)) give(sets, value, now);
      }
    },
    find(index, value) {
      const sets = byName.get(index);
      if (sets === undefined)
        throw new RangeError(`There is no index "${index}": it must be named when the cache is made`);
      return [...(sets.get(value) ?? [])];
    },
  };
}

function take<T>(sets: Map<string, Set<T>>, value: string, object: T): void {
  const set = sets.get(value);
  if (set?.delete(object) && set.size === 0) sets.delete(value);
}

function give<T>(sets: Map<string, Set<T>>, value: string, object: T): void {
  const set = sets.get(value);
  if (set === undefined) sets.set(value, new Set([object]));
  else set.add(object);
}
