import type { Page } from "../../storage/port.ts";

/** All items, page by page. */
export async function* listAll<Item>(
  pageAt: (page: { readonly cursor?: string }) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, undefined> {
  let cursor: string | undefined;
  do {
    const page = await pageAt(cursor === undefined ? {} : { cursor });
    yield* page.items;
    cursor = page.next;
  } while (cursor !== undefined);
}
