/** Where something stands in a list: by its creation, and by its id within a millisecond. */
export interface Placed {
  readonly id: string;
  readonly createdAtMs: number;
}

export interface PageQuery {
  /** At most this many; absent = all. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly after?: string;
}

/** Text of a place in a list: what stood there may be gone by the time of the next page. */
export const PLACE_PATTERN = /^\d{1,16}-[a-z0-9][-.a-z0-9]{0,62}$/;

export function comparePlaces(a: Placed, b: Placed): number {
  if (a.createdAtMs !== b.createdAtMs) return a.createdAtMs - b.createdAtMs;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** One page in the order of creation. Whatever comes and goes between two pages, nothing that stays is seen twice or missed. */
export function pageOf<T extends Placed>(
  all: Iterable<T>,
  { limit, after }: PageQuery,
): { readonly items: readonly T[]; readonly next?: string } {
  const from = after === undefined ? undefined : placeOf(after);
  const rest = [...all].filter((item) => from === undefined || comparePlaces(item, from) > 0).sort(comparePlaces);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return items.length < rest.length && last !== undefined
    ? { items, next: `${last.createdAtMs}-${last.id}` }
    : { items };
}

function placeOf(text: string): Placed {
  if (!PLACE_PATTERN.test(text)) throw new RangeError(`Cannot continue a list after "${text}": it is no place in one`);
  const dash = text.indexOf("-");
  return { createdAtMs: Number(text.slice(0, dash)), id: text.slice(dash + 1) };
}
