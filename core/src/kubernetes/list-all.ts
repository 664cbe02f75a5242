import type { KubeCall, KubeClient, ListQuery, ObjectList, Resource } from "./client.ts";
import { isGone } from "./kube-error.ts";
import type { KubeObject } from "./object.ts";

export interface ListAllOptions<T> {
  readonly query?: Omit<ListQuery, "limit" | "continue">;
  /** Objects of one page. @default 500 */
  readonly pageSize?: number;
  /** Called for each object as its page arrives, so that what nobody reads is freed before the next. */
  readonly trim?: (object: T) => T;
}

/**
 * All objects as they were at one moment, read in pages. A list that takes so long that the API
 * server forgets its moment is begun again, then in one piece, which cannot expire.
 */
export async function listAll<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  call: KubeCall,
  options: ListAllOptions<T> = {},
): Promise<ObjectList<T>> {
  try {
    return await listPages(client, resource, call, options, options.pageSize ?? 500);
  } catch (error) {
    if (!isGone(error)) throw error;
    return listPages(client, resource, call, options, undefined);
  }
}

async function listPages<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  call: KubeCall,
  { query = {}, trim }: ListAllOptions<T>,
  limit: number | undefined,
): Promise<ObjectList<T>> {
  const items: T[] = [];
  let next: string | undefined;
  for (;;) {
    const page = await client.list(
      resource,
      { ...query, ...(limit === undefined ? {} : { limit }), ...(next === undefined ? {} : { continue: next }) },
      call,
    );
    for (const object of page.items) items.push(trim === undefined ? object : trim(object));
    next = page.continue;
    if (next === undefined) return { items, resourceVersion: page.resourceVersion };
  }
}
