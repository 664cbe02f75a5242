import type { StoreDriver } from "./driver.ts";
import type { Page } from "./port.ts";

/** The part of a store whose keys begin with `prefix/`, as a store of its own; an empty prefix is all of it. */
export function withPrefix(driver: StoreDriver, prefix: string): StoreDriver {
  if (prefix === "") return driver;
  const head = `${prefix}/`;
  const own = <T extends { readonly key: string }>(item: T): T => ({ ...item, key: item.key.slice(head.length) });
  const ownPage = <T extends { readonly key: string }>(page: Page<T>): Page<T> => ({
    ...page,
    items: page.items.map(own),
  });
  return {
    ...driver,
    name: `${driver.name}/${prefix}`,
    put: async (write, bytes, signal) => own(await driver.put({ ...write, key: head + write.key }, bytes, signal)),
    begin: async (write, signal) => {
      const upload = await driver.begin({ ...write, key: head + write.key }, signal);
      return { ...upload, complete: async (once) => own(await upload.complete(once)) };
    },
    open: async (key, range, signal) => {
      const opened = await driver.open(head + key, range, signal);
      return { ...opened, object: own(opened.object) };
    },
    stat: async (key, signal) => {
      const found = await driver.stat(head + key, signal);
      return { ...found, object: own(found.object) };
    },
    list: async (below, page, signal) => ownPage(await driver.list(head + below, page, signal)),
    remove: (key, version, signal) => driver.remove(head + key, version, signal),
    listUploads: async (below, page, signal) => ownPage(await driver.listUploads(head + below, page, signal)),
    abortUpload: (upload, signal) => driver.abortUpload({ ...upload, key: head + upload.key }, signal),
  };
}
